/**
 * Long synchronous work in pieces. Signals, deadlines and refreshes of claims are served by the event loop, so work
 * that takes more than a moment is a generator that yields wherever it could stop, and is run in turns.
 */
export type Steps<T> = Generator<void, T, void>;

/** As long as nobody notices the work. */
const TURN_MS = 20;

/**
 * Runs the work to its end, with a turn of the event loop now and then.
 * @throws what the work throws; the signal's reason, which the work sees as thrown where it stopped
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
