/**
 * Long synchronous work is a generator that yields wherever it can pause, and runs in turns of the event loop. Between two
 * turns the event loop serves signals, deadlines and the refresh of claims.
 */
export type Steps<T> = Generator<void, T, void>;

/** A turn of this length delays a signal or a deadline by less than a person notices. */
const TURN_MS = 20;

/**
 * Runs the work to its end, and lets the event loop run every `TURN_MS`.
 * @throws what the work throws; the signal's reason, which is also thrown inside the work where it paused
 */
export async function inTurns<T>(work: Steps<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    const end = performance.now() + TURN_MS;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (performance.now() < end);
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (signal.aborted) work.throw(signal.reason);
  }
}

/** Runs the work to its end in one turn. */
export function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
