import { SysError } from '../kernel/errno.ts';
import { isThisProcess, type Owner } from '../kernel/process.ts';
import { type HeldBy, HOLD_STALE_MS, type Hold, holderOf, refresh, release, tryHold } from './holder.ts';
import { ReleaseWatch } from './release-watch.ts';

/**
 * A claim says "I am doing this long piece of work", so that others wait for the result instead of doing it
 * too. It saves work and protects nothing: the result is published atomically, whoever makes it.
 */
export interface Claim extends Disposable {
  /** Gives the claim up; more than once is fine. */
  release(): void;
}

/** Claims the work, takes it over from a dead claimant, or says who is at it. Never waits. @throws SysError */
export function tryClaim(path: string): Claim | HeldBy {
  const hold = tryHold(path);
  if (!('entry' in hold)) return hold;
  return new HeldClaim(hold);
}

class HeldClaim implements Claim {
  readonly #hold: Hold;
  readonly #timer: NodeJS.Timeout;
  #released = false;

  constructor(hold: Hold) {
    this.#hold = hold;
    this.#timer = setInterval(() => this.#refresh(), HOLD_STALE_MS / 6);
    this.#timer.unref();
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#timer);
    try {
      release(this.#hold);
    } catch (error) {
      // The work is done. A claim that stays is a dead holder's as soon as this process ends.
      if (!(error instanceof SysError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #refresh(): void {
    try {
      if (refresh(this.#hold)) return;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // The disk is in trouble; the work itself will meet it and say so.
    }
    clearInterval(this.#timer);
  }
}

export interface WaitOptions {
  /** Called after every look that finds the claim still held. */
  readonly onPoll?: (holder: Owner | undefined) => void;
  /** Longest pause between two looks while the kernel would tell what happens. */
  readonly lookAgainMs?: number;
  /** The wait ends then at the latest, in milliseconds of `performance.now()`. */
  readonly until?: number | undefined;
  /** The work is done, whoever did it: looked at with every look at the claim. */
  readonly isDone?: (() => boolean) | undefined;
  /** Where done work appears by rename: an arrival there is a reason to look. */
  readonly arrivals?: string | undefined;
}

/**
 * The kernel says at once that a claim was released or that its holder has ended (release-watch.ts). Looking again,
 * and what the event loop then does beside, costs 1 to 2 ms of CPU (measured), so it is done seldom: often enough to
 * refresh what this process holds itself, and for a signal that came between the last look and the sleep.
 */
const LOOK_AGAIN_MS = HOLD_STALE_MS / 6;
/** Where it does not: no inotify instance is left (128 for a user by default), or the holder is in another pid namespace. */
const LOOK_AGAIN_UNTOLD_MS = 250;

/** How a wait ended: `late` at its deadline, `done` because the work is done though somebody is still at it. */
export type WaitEnd = 'free' | 'dead' | 'late' | 'done';

/**
 * Resolves when nobody who is alive holds `path` any more, or one of several, and says how it came free.
 * @throws the signal's reason when it aborts; SysError
 */
export async function waitForRelease(
  path: string | readonly string[],
  signal: AbortSignal,
  options: WaitOptions = {},
): Promise<WaitEnd> {
  const paths = typeof path === 'string' ? [path] : path;
  const { until = Number.POSITIVE_INFINITY, arrivals, isDone } = options;
  for (;;) {
    signal.throwIfAborted();
    // Before the look: what happens after it is then told.
    using watch = new ReleaseWatch(paths, arrivals);
    const holders: (Owner | undefined)[] = [];
    for (const one of paths) {
      const held = holderOf(one);
      if (typeof held === 'string') return held;
      holders.push(held.heldBy);
    }
    if (isDone?.() === true) return 'done';
    const left = until - performance.now();
    if (left <= 0) return 'late';
    options.onPoll?.(holders[0]);
    if (holders.some((holder) => holder !== undefined && isThisProcess(holder)))
      await pause(Math.min(left, LOOK_AGAIN_UNTOLD_MS), signal);
    else await blockUntilTold(watch, holders, Math.min(left, options.lookAgainMs ?? LOOK_AGAIN_MS));
  }
}

/**
 * Stops the thread in the kernel: who waits has nothing else to do, and 64 of them on one machine spend 2 ms of CPU
 * each, where `fs.watch` and a timer took 4 ms and 3 more for every second (measured). A signal ends the sleep
 * (EINTR). Then the event loop gets a turn, in which signals, deadlines and refreshes are served.
 */
async function blockUntilTold(
  watch: ReleaseWatch,
  holders: readonly (Owner | undefined)[],
  ms: number,
): Promise<void> {
  const told = watch.follow(holders);
  watch.block(told ? ms : Math.min(ms, LOOK_AGAIN_UNTOLD_MS));
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** For a holder in this very process, which must go on to be able to let go. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

/**
 * Of many who want the same work done one gets the claim; the others wait for that one, and then get none: either the
 * result is there, or who had the claim has failed, and they had better try side by side than in a queue of failures.
 * None either for who waited until its deadline. Who was killed is followed by the next.
 * @throws the signal's reason when it aborts; SysError
 */
export async function claimOrWait(
  path: string,
  signal: AbortSignal,
  options?: WaitOptions,
): Promise<Claim | undefined> {
  for (;;) {
    const claim = tryClaim(path);
    if (!('heldBy' in claim)) return claim;
    if ((await waitForRelease(path, signal, options)) !== 'dead') return undefined;
  }
}
