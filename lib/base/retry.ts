/** The number of attempts and the pauses between them. Times are in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first one included. */
  readonly attempts: number;
  /** The first pause; each further one doubles, up to `maxMs`. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** 0 ≤ x < 1. The caller passes it, so that a test decides it. */
  readonly random: () => number;
}

/** The consequence of an error: `stop`, or another attempt after at least `afterMs`. */
export type Verdict = 'stop' | { readonly afterMs: number };

/** Is called before each pause, for the log. */
export type OnRetry = (error: unknown, attempt: number, pauseMs: number) => void;

/**
 * Runs `operation` until it succeeds, `judge` says stop, the attempts are used up or `signal` aborts.
 * @throws the last error of the operation, or the reason of the signal.
 */
export async function retry<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  operation: (attempt: number) => Promise<T>,
  judge: (error: unknown) => Verdict,
  onRetry: OnRetry,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await operation(attempt);
    } catch (error) {
      const verdict = judge(error);
      if (verdict === 'stop' || attempt >= policy.attempts) throw error;
      const pause = Math.max(verdict.afterMs, backoffMs(policy, attempt));
      onRetry(error, attempt, pause);
      await sleep(pause, signal);
    }
  }
}

/**
 * The pause after the nth failure: half fixed, half random ("equal jitter"), so that a hundred cells that
 * failed together do not come back together, and none comes back at once.
 */
export function backoffMs(policy: RetryPolicy, attempt: number): number {
  const full = Math.min(policy.maxMs, policy.baseMs * 2 ** (attempt - 1));
  return Math.round(full / 2 + (full / 2) * policy.random());
}

/** Resolves after `ms`. @throws the signal's reason, at once when it aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(signal.reason);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', stop, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Waits for `work` until `signal` aborts. The work itself goes on, since others may wait for it too.
 * @throws the signal's reason, at once when it aborts
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, work]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
