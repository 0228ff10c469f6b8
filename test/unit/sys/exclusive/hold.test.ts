import { describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import {
  HOLD_STALE_MS,
  type Hold,
  lookAtHold,
  refresh,
  release,
  sweepHolds,
  tryHold,
} from '../../../../lib/sys/exclusive/hold.ts';
import { temporaryPath } from '../../../../lib/sys/files/temporary.ts';
import { formatOwner, type Owner, owner } from '../../../../lib/sys/kernel/process.ts';
import { tempDir } from '../../../support/temp.ts';
import { actor } from './actors/spawn.ts';

const DEAD: Owner = { ...owner(), startTime: '1' };
const STRANGER: Owner = { ...owner(), pidNamespace: 'pid:[1]' };

/** A place as its holder left it. */
function place(path: string, ...holders: (Owner | string)[]): string {
  mkdirSync(path);
  const names = holders.map((who) => (typeof who === 'string' ? who : `${formatOwner(who)}.1`));
  for (const name of names) writeFileSync(`${path}/${name}`, '');
  return path;
}

function age(path: string, ms: number): void {
  const then = new Date(Date.now() - ms);
  for (const name of readdirSync(path)) utimesSync(`${path}/${name}`, then, then);
}

function mustHold(path: string): Hold {
  const tried = tryHold(path);
  if (!('entry' in tried)) throw new Error(`held by ${JSON.stringify(tried.heldBy)}`);
  return tried;
}

describe('tryHold', () => {
  test('takes a free place, and refuses it to everyone until it is released', async () => {
    await using dir = tempDir();
    const path = dir.at('place');
    const hold = mustHold(path);
    expect(readdirSync(path)).toEqual([hold.entry]);
    expect(tryHold(path)).toEqual({ heldBy: owner() });
    expect(lookAtHold(path)).toEqual({ heldBy: owner() });
    release(hold);
    expect(readdirSync(dir.path)).toEqual([]);
    expect(lookAtHold(path)).toBe('free');
    release(mustHold(path));
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('takes an empty directory: a holder was killed between the two steps of its release', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('place'));
    expect(lookAtHold(dir.at('place'))).toBe('free');
    const hold = mustHold(dir.at('place'));
    expect(readdirSync(dir.at('place'))).toEqual([hold.entry]);
  });

  test('takes over from the dead at once', async () => {
    await using dir = tempDir();
    for (const who of [DEAD, { ...owner(), bootId: '0'.repeat(36) }]) {
      const path = place(dir.at(who.bootId), who);
      expect(lookAtHold(path)).toBe('dead');
      const hold = mustHold(path);
      expect(readdirSync(path)).toEqual([hold.entry]);
      expect(tryHold(path)).toEqual({ heldBy: owner() });
    }
  });

  test('leaves a living holder alone, however long it has said nothing', async () => {
    await using dir = tempDir();
    const path = place(dir.at('place'), owner());
    age(path, 1000 * HOLD_STALE_MS);
    expect(tryHold(path)).toEqual({ heldBy: owner() });
  });

  test('a holder of another pid namespace keeps its place while it refreshes it', async () => {
    await using dir = tempDir();
    const path = place(dir.at('place'), STRANGER);
    expect(tryHold(path)).toEqual({ heldBy: STRANGER });
    age(path, HOLD_STALE_MS - 5000);
    expect(tryHold(path)).toEqual({ heldBy: STRANGER });
    age(path, HOLD_STALE_MS + 1000);
    const hold = mustHold(path);
    expect(readdirSync(path)).toEqual([hold.entry]);
    // What was taken over is fresh again, for observers who cannot judge us.
    expect(Date.now() - statSync(`${path}/${hold.entry}`).mtimeMs).toBeLessThan(HOLD_STALE_MS / 2);
  });

  test('an entry that is nobody’s name counts as a stranger’s', async () => {
    await using dir = tempDir();
    const path = place(dir.at('place'), 'lost+found');
    expect(tryHold(path)).toEqual({ heldBy: undefined });
    age(path, HOLD_STALE_MS + 1000);
    expect('entry' in tryHold(path)).toBe(true);
  });

  test('one living holder among dead entries is enough', async () => {
    await using dir = tempDir();
    const path = place(dir.at('place'), DEAD, owner(), STRANGER);
    expect(tryHold(path)).toMatchObject({ heldBy: {} });
    rmSync(`${path}/${formatOwner(owner())}.1`);
    rmSync(`${path}/${formatOwner(STRANGER)}.1`);
    expect('entry' in tryHold(path)).toBe(true);
  });

  test('a file in the way is an error, not a free place', async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('place'), '');
    expect(() => tryHold(dir.at('place'))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
    expect(() => tryHold(dir.at('missing/place'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  test('of many who find the same holders dead, each place goes to exactly one', async () => {
    await using dir = tempDir();
    // So many that none of the actors has taken all of them before the others have begun.
    const names = Array.from({ length: 3000 }, (_, i) => String(i));
    for (const [i, name] of names.entries()) place(dir.at(name), ...(i % 3 === 0 ? [] : [DEAD]));
    await using a = actor('take-all', dir.path);
    await using b = actor('take-all', dir.path);
    await using c = actor('take-all', dir.path);
    const all = [a, b, c];
    await Promise.all(all.map((one) => one.line('ready')));
    for (const one of all) one.endStdin();
    await Promise.all(all.map((one) => one.line('done')));
    const taken = all.flatMap((one) => one.lines().filter((line) => /^\d+$/.test(line)));
    expect(taken.sort((x, y) => Number(x) - Number(y))).toEqual(names);
    // More than one took part, or this has shown nothing.
    expect(all.filter((one) => one.lines().length > 2).length).toBeGreaterThan(1);
    expect(readdirSync(dir.path).length).toBe(names.length);
    for (const name of names) expect(readdirSync(dir.at(name)).length).toBe(1);
  });
});

describe('release and refresh', () => {
  test('touch nothing of the one who took the place over', async () => {
    await using dir = tempDir();
    const path = dir.at('place');
    const old = mustHold(path);
    rmSync(path, { recursive: true });
    expect(refresh(old)).toBe(false);
    const next = mustHold(path);
    expect(refresh(old)).toBe(false);
    release(old);
    expect(readdirSync(path)).toEqual([next.entry]);
    expect(refresh(next)).toBe(true);
    release(next);
    release(next);
    expect(existsSync(path)).toBe(false);
  });
});

describe('sweepHolds', () => {
  test('removes what the dead have left and nothing of the living', async () => {
    await using dir = tempDir();
    const dead = `${formatOwner(DEAD)}.1`;
    place(dir.at('dead.claim'), DEAD);
    place(dir.at('empty.claim'));
    place(temporaryPath(dir.path, dead), DEAD);
    place(temporaryPath(dir.path, dead));
    const hold = mustHold(dir.at('mine.claim'));
    const staged = temporaryPath(dir.path, `${formatOwner(owner())}.2`);
    mkdirSync(staged);
    place(dir.at('stranger.claim'), STRANGER);
    writeFileSync(dir.at('a file'), '');
    expect(sweepHolds(dir.path, true)).toBe(4);
    const left = ['a file', 'mine.claim', 'stranger.claim', staged.slice(dir.path.length + 1)];
    expect(readdirSync(dir.path).sort()).toEqual(left.sort());
    expect(readdirSync(hold.path)).toEqual([hold.entry]);
  });

  test("leaves places alone where it is asked for stages only: the directory may be anybody's", async () => {
    await using dir = tempDir();
    place(dir.at('dead.claim'), DEAD);
    mkdirSync(dir.at('empty'));
    mkdirSync(temporaryPath(dir.path));
    expect(sweepHolds(dir.path, false)).toBe(0);
    expect(readdirSync(dir.path)).toHaveLength(3);
  });

  test('a stage of another pid namespace goes when it is old', async () => {
    await using dir = tempDir();
    const staged = place(temporaryPath(dir.path, `${formatOwner(STRANGER)}.1`), STRANGER);
    expect(sweepHolds(dir.path, false)).toBe(0);
    const then = new Date(Date.now() - 2 * HOLD_STALE_MS);
    utimesSync(staged, then, then);
    expect(sweepHolds(dir.path, false)).toBe(1);
    expect(existsSync(staged)).toBe(false);
  });
});
