import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { type Claim, claimOrWait, tryClaim, waitForRelease } from '../../../../lib/sys/exclusive/claim.ts';
import { owner } from '../../../../lib/sys/kernel/process.ts';
import { tempDir } from '../../../support/temp.ts';
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

  test('of another process: is told of the release, without looking again and again', async () => {
    await using dir = tempDir();
    await using holder = actor('claim-for-a-while', dir.at('work'));
    await holder.line('held');
    await using waiter = actor('wait', dir.at('work'));
    await waiter.line('waiting');
    // Not what it waits for, though in the same directory.
    for (let i = 0; i < 300; i += 1) writeFileSync(dir.at(String(i)), '');
    mustClaim(dir.at('other')).release();
    holder.endStdin();
    expect(await waiter.ended()).toBe(0);
    expect(waiter.lines().at(-1)).toBe('free');
    expect(waiter.lines().length).toBeLessThan(10);
  });

  test('of another process: is told that it was killed', async () => {
    await using dir = tempDir();
    await using holder = actor('claim', dir.at('work'));
    await holder.line('held');
    await using waiter = actor('wait', dir.at('work'));
    await waiter.line('waiting');
    holder.signal('SIGKILL');
    expect(await waiter.ended()).toBe(0);
    expect(waiter.lines().at(-1)).toBe('dead');
  });

  test('of another process: a signal ends the wait', async () => {
    await using dir = tempDir();
    await using holder = actor('claim', dir.at('work'));
    await holder.line('held');
    await using waiter = actor('wait', dir.at('work'));
    await waiter.line('waiting');
    const ended = waiter.ended();
    // One that comes before it sleeps is served when the next wakes it.
    let over = false;
    ended.then(() => (over = true));
    for (; !over; await Bun.sleep(100)) waiter.signal('SIGTERM');
    expect(waiter.lines().at(-1)).toBe('stopped');
  });

  test('of two processes: is told of either, and of what arrives where the work appears', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('work'));
    writeFileSync(dir.at('ready'), '');
    await using first = actor('claim', dir.at('place-1'));
    await using second = actor('claim-for-a-while', dir.at('place-2'));
    await Promise.all([first.line('held'), second.line('held')]);
    await using waiter = actor('wait-for-two', dir.at('place'), dir.at('work'));
    await using other = actor('wait-for-two', dir.at('place'), dir.at('work'));
    await Promise.all([waiter.line('waiting'), other.line('waiting')]);
    renameSync(dir.at('ready'), dir.at('work/done'));
    expect([await waiter.ended(), await other.ended()]).toEqual([0, 0]);
    expect([waiter.lines().at(-1), other.lines().at(-1)]).toEqual(['done', 'done']);
    renameSync(dir.at('work/done'), dir.at('ready'));
    await using third = actor('wait-for-two', dir.at('place'), dir.at('work'));
    await third.line('waiting');
    second.endStdin();
    expect(await third.ended()).toBe(0);
    expect(third.lines().at(-1)).toBe('free');
  });

  test('ends at its deadline, though nothing is told and nobody lets go', async () => {
    await using dir = tempDir();
    await using holder = actor('claim', dir.at('work'));
    await holder.line('held');
    const until = performance.now() + 30;
    expect(await waitForRelease(dir.at('work'), never, { until, lookAgainMs: 2 ** 40 })).toBe('late');
    expect(performance.now()).toBeGreaterThanOrEqual(until);
    expect(await claimOrWait(dir.at('work'), never, { until: 0 })).toBeUndefined();
  });

  test('of this process: looks again now and then', async () => {
    await using dir = tempDir();
    const claim = mustClaim(dir.at('work'));
    let polls = 0;
    const started = performance.now();
    const waiting = waitForRelease(dir.at('work'), never, { onPoll: () => (polls += 1) });
    await Bun.sleep(600);
    claim.release();
    await waiting;
    // Every 250 ms, and once at the start: a tight loop would be in the thousands.
    expect(polls).toBeLessThanOrEqual(2 + (performance.now() - started) / 250);
    expect(polls).toBeGreaterThanOrEqual(1);
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

describe('claimOrWait', () => {
  test('gives the claim to one; who waited for it gets none, and does not wait again', async () => {
    await using dir = tempDir();
    const first = await claimOrWait(dir.at('work'), never);
    const others = [1, 2, 3].map(() => claimOrWait(dir.at('work'), never));
    first?.release();
    expect(await Promise.all(others)).toEqual([undefined, undefined, undefined]);
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('gives it to the next when the first was killed', async () => {
    await using dir = tempDir();
    await using holder = actor('claim', dir.at('work'));
    await holder.line('held');
    const waiting = claimOrWait(dir.at('work'), never);
    holder.signal('SIGKILL');
    using next = await waiting;
    expect(next).toBeDefined();
    expect(tryClaim(dir.at('work'))).toEqual({ heldBy: owner() });
  });
});
