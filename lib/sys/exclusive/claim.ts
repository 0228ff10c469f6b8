import { SysError } from '../kernel/errno.ts';
import { isThisProcess, type Owner } from '../kernel/process.ts';
import { type HeldBy, HOLD_STALE_MS, type Hold, lookAtHold, refresh, release, tryHold } from './hold.ts';
import { ReleaseWatch } from './release-watch.ts';

/**
 * A claim says "this process does this long piece of work", so that other processes wait for the result instead of
 * doing the same work. A claim saves work and protects nothing: the result is published atomically, whichever process
 * makes it.
 */
export interface Claim extends Disposable {
  /** Gives the claim up. A second call does nothing. */
  release(): void;
}

/**
 * Claims the work, takes the claim over from a dead process, or returns the process that holds it. Never waits.
 * @throws SysError
 */
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
      // The work is done. If the claim stays on the disk, its holder counts as dead as soon as this process ends.
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
      // The disk has a fault. The work itself meets the same fault and reports it.
    }
    clearInterval(this.#timer);
  }
}

export interface WaitOptions {
  /** Called after every look that finds the claim still held. */
  readonly onPoll?: (holder: Owner | undefined) => void;
  /** Longest pause between two looks while the kernel reports changes. */
  readonly lookAgainMs?: number;
  /** The wait ends at this time at the latest, in milliseconds of `performance.now()`. */
  readonly until?: number | undefined;
  /** Returns true when the work is done, whichever process did it. Called with every look at the claim. */
  readonly isDone?: (() => boolean) | undefined;
  /** The directory into which finished work is renamed. A rename into it is a reason to look again. */
  readonly arrivals?: string | undefined;
}

/**
 * The kernel reports at once that a claim was released or that its holder has ended (release-watch.ts). Another look,
 * with what the event loop does beside it, costs 1 to 2 ms of CPU (measured). So this process looks seldom: often
 * enough to refresh its own holds, and to see a signal that came between the last look and the sleep.
 */
const LOOK_AGAIN_MS = HOLD_STALE_MS / 6;
/**
 * The pause where the kernel cannot report all changes: no inotify instance is left (a user has 128 by default), or the
 * holder is in another pid namespace.
 */
const LOOK_AGAIN_UNTOLD_MS = 250;

/**
 * How a wait ended. `late`: its deadline passed. `done`: the work is done, although a process still holds the claim.
 */
export type WaitEnd = 'free' | 'dead' | 'late' | 'done';

/**
 * Resolves when no living process holds `path`, or one of several paths, and returns how the path came free.
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
    // The watch starts before the look, so that the kernel reports every change after the look.
    using watch = new ReleaseWatch(paths, arrivals);
    const holders: (Owner | undefined)[] = [];
    for (const one of paths) {
      const held = lookAtHold(one);
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
 * Blocks this thread in the kernel, since a waiting process has nothing else to do. With 64 waiting processes on one
 * machine, each spends 2 ms of CPU; `fs.watch` and a timer took 4 ms, and 3 ms more for every second (measured). A
 * signal ends the sleep (EINTR). Then the event loop gets a turn, in which it serves signals, deadlines and refreshes.
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

/** The wait for a holder in this same process. The event loop must go on, or the holder could never release. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

/**
 * Of many processes that want the same work done, one gets the claim and the others wait for it. After the wait they
 * get no claim: either the result exists, or the holder failed, and then it is better that all try side by side than
 * that each waits for the next failure. A process that waited until its deadline gets no claim either. If the holder
 * was killed, another process gets the claim.
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
