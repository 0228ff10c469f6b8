import { describe, expect, test } from 'bun:test';
import { backoffMs, type RetryPolicy, retry, sleep, type Verdict } from '../../../lib/base/retry.ts';

const never = new AbortController().signal;
const policy: RetryPolicy = { attempts: 4, baseMs: 1, maxMs: 2, random: () => 0 };
const again: () => Verdict = () => ({ afterMs: 0 });

async function attempts(
  failing: number,
  judge: (error: unknown) => Verdict,
  more: Partial<RetryPolicy> = {},
) {
  const tried: number[] = [];
  const told: number[] = [];
  const outcome = await retry(
    { ...policy, ...more },
    never,
    async (attempt) => {
      tried.push(attempt);
      if (attempt <= failing) throw new Error(`attempt ${attempt}`);
      return 'done';
    },
    judge,
    (_error, attempt) => told.push(attempt),
  ).catch((error: Error) => error.message);
  return { outcome, tried, told };
}

describe('retry', () => {
  test('returns the first success, and tells of every failure before it', async () => {
    expect(await attempts(2, again)).toEqual({ outcome: 'done', tried: [1, 2, 3], told: [1, 2] });
  });
  test('throws the last error when the attempts are used up', async () => {
    expect(await attempts(9, again)).toEqual({ outcome: 'attempt 4', tried: [1, 2, 3, 4], told: [1, 2, 3] });
  });
  test('stops at once when the error says so', async () => {
    expect(await attempts(9, () => 'stop')).toEqual({ outcome: 'attempt 1', tried: [1], told: [] });
  });
  test('waits at least as long as the error says', async () => {
    const started = performance.now();
    await attempts(1, () => ({ afterMs: 40 }));
    expect(performance.now() - started).toBeGreaterThanOrEqual(38);
  });
  test('ends in the middle of a pause when the signal aborts', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const waiting = retry(
      policy,
      abort.signal,
      async () => Promise.reject(new Error('no')),
      () => ({ afterMs: 60_000 }),
      () => abort.abort(reason),
    );
    expect(await waiting.catch((error: unknown) => error)).toBe(reason);
  });
});

describe('the pause', () => {
  const spread = (random: number) =>
    [1, 2, 3, 4, 5].map((attempt) =>
      backoffMs({ ...policy, baseMs: 100, maxMs: 1000, random: () => random }, attempt),
    );
  test('doubles up to the longest, half of it random', () => {
    expect(spread(0)).toEqual([50, 100, 200, 400, 500]);
    expect(spread(0.999999)).toEqual([100, 200, 400, 800, 1000]);
  });
  test('of a great many attempts is still a number', () => {
    expect(backoffMs({ ...policy, baseMs: 100, maxMs: 1000 }, 5000)).toBe(500);
  });
});

test('sleep leaves no listener behind', async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  }) as typeof signal.addEventListener;
  signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  }) as typeof signal.removeEventListener;
  for (let i = 0; i < 10; i += 1) await sleep(0, signal);
  expect(listeners).toBe(0);
});
