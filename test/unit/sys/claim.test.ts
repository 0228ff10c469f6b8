import { describe, expect, test } from 'bun:test';
import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { type Claim, tryClaim, waitForRelease } from '../../../lib/sys/claim.ts';
import { owner } from '../../../lib/sys/process.ts';
import { tempDir } from '../../support/temp.ts';
import { actor } from './actors/spawn.ts';

const never = new AbortController().signal;

function mustClaim(path: string): Claim {
  const tried = tryClaim(path);
  if ('heldBy' in tried) throw new Error('somebody else has it');
  return tried;
}

describe('tryClaim', () => {
  test('gives the work to one, and to the next when that one is done', async () => {
    await using dir = tempDir();
    {
      using _claim = mustClaim(dir.at('work'));
      expect(tryClaim(dir.at('work'))).toEqual({ heldBy: owner() });
    }
    expect(readdirSync(dir.path)).toEqual([]);
    const again = mustClaim(dir.at('work'));
    again.release();
    again.release();
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('says which process is at it, and takes over when that one was killed', async () => {
    await using dir = tempDir();
    await using other = actor('claim', dir.at('work'));
    await other.line('held');
    expect(tryClaim(dir.at('work'))).toMatchObject({ heldBy: { pid: other.pid } });
    other.signal('SIGKILL');
    await other.ended();
    mustClaim(dir.at('work')).release();
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('a release after a takeover leaves the successor alone', async () => {
    await using dir = tempDir();
    const first = mustClaim(dir.at('work'));
    const { rename } = await import('node:fs/promises');
    await rename(dir.at('work'), dir.at('aside'));
    const second = mustClaim(dir.at('work'));
    first.release();
    expect(tryClaim(dir.at('work'))).toEqual({ heldBy: owner() });
    second.release();
    expect(readdirSync(dir.path)).toEqual(['aside']);
  });
});

describe('waitForRelease', () => {
  test('returns at once when nobody is at it', async () => {
    await using dir = tempDir();
    await waitForRelease(dir.at('work'), never);
  });

  test('hears the release without looking again and again', async () => {
    await using dir = tempDir();
    const claim = mustClaim(dir.at('work'));
    let polls = 0;
    const started = performance.now();
    const waiting = waitForRelease(dir.at('work'), never, { onPoll: () => (polls += 1) });
    await Bun.sleep(600);
    claim.release();
    await waiting;
    // Every 250 to 312 ms, and once at the start: a tight loop would be in the thousands.
    expect(polls).toBeLessThanOrEqual(2 + (performance.now() - started) / 250);
    expect(polls).toBeGreaterThanOrEqual(1);
  });

  test('is not woken by other work in the same directory', async () => {
    await using dir = tempDir();
    const claim = mustClaim(dir.at('work'));
    let polls = 0;
    const waiting = waitForRelease(dir.at('work'), never, { onPoll: () => (polls += 1) });
    const started = performance.now();
    for (let i = 0; i < 300; i += 1) {
      writeFileSync(dir.at(String(i)), '');
      if (i % 20 === 0) await Bun.sleep(1);
    }
    expect(polls).toBeLessThanOrEqual(2 + (performance.now() - started) / 250);
    claim.release();
    await waiting;
  });

  test('notices that the one at it was killed', async () => {
    await using dir = tempDir();
    await using other = actor('claim', dir.at('work'));
    await other.line('held');
    const holders = new Set<number | undefined>();
    await waitForRelease(dir.at('work'), never, {
      onPoll: (who) => {
        holders.add(who?.pid);
        other.signal('SIGKILL');
      },
    });
    expect(holders).toEqual(new Set([other.pid]));
    // What the dead one left is for the next claim to take over.
    expect(readdirSync(dir.path)).toEqual(['work']);
    mustClaim(dir.at('work')).release();
  });

  test('many who wait are all let go', async () => {
    await using dir = tempDir();
    const claim = mustClaim(dir.at('work'));
    // More than the 128 inotify instances that a user has by default, so some do without.
    const waiting = Array.from({ length: 200 }, () => waitForRelease(dir.at('work'), never));
    claim.release();
    await Promise.all(waiting);
  });

  test('stops waiting when its signal aborts', async () => {
    await using dir = tempDir();
    using _claim = mustClaim(dir.at('work'));
    const abort = new AbortController();
    const waiting = waitForRelease(dir.at('work'), abort.signal);
    abort.abort(new RangeError('enough'));
    await expect(waiting).rejects.toThrow(new RangeError('enough'));
    await expect(waitForRelease(dir.at('work'), abort.signal)).rejects.toThrow(new RangeError('enough'));
  });

  test('a living claimant is waited for however old its claim is', async () => {
    await using dir = tempDir();
    const claim = mustClaim(dir.at('work'));
    const entry = readdirSync(dir.at('work'))[0] ?? '';
    utimesSync(dir.at('work', entry), 1, 1);
    let over = false;
    const waiting = waitForRelease(dir.at('work'), never).then(() => (over = true));
    await Bun.sleep(700);
    expect(over).toBe(false);
    claim.release();
    await waiting;
  });
});
