import type { FSWatcher } from 'node:fs';
import { SysError } from './errno.ts';
import { type HeldBy, HOLD_STALE_MS, type Hold, holderOf, refresh, release, tryHold } from './holder.ts';
import { lastName, parentOf } from './path.ts';
import type { Owner } from './process.ts';

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
}

/**
 * The release itself is seen at once by inotify. Looking again finds a claimant that was killed, and serves where the
 * kernel has no inotify instance left: 128 for a user by default. A look costs 0.6 ms of CPU, so those who have waited
 * for long look less often: 60 of them may wait on one machine.
 */
const LOOK_AGAIN_MS = 250;
const LOOK_AGAIN_MS_AT_MOST = 1000;

/**
 * Resolves when nobody who is alive holds `path` any more.
 * @throws the signal's reason when it aborts; SysError
 */
export async function waitForRelease(
  path: string,
  signal: AbortSignal,
  options: WaitOptions = {},
): Promise<void> {
  const bell = new Bell();
  const ring = () => bell.ring();
  const watcher = await watchName(path, ring);
  signal.addEventListener('abort', ring);
  try {
    for (let pause = LOOK_AGAIN_MS; ; pause = Math.min(pause * 1.5, LOOK_AGAIN_MS_AT_MOST)) {
      signal.throwIfAborted();
      const held = holderOf(path);
      if (held === undefined) return;
      options.onPoll?.(held.heldBy);
      await bell.wait(pause * (1 + Math.random() / 4));
    }
  } finally {
    signal.removeEventListener('abort', ring);
    watcher?.close();
  }
}

async function watchName(path: string, ring: () => void): Promise<FSWatcher | undefined> {
  // Not at the top: node:fs costs 0.9 ms, which a create that waits for nobody does not spend.
  const { watch } = await import('node:fs');
  const name = lastName(path);
  try {
    const watcher = watch(parentOf(path), (_event, changed) => {
      if (changed === null || changed === name) ring();
    });
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

/** Wakes one sleeper early; a ring before the wait is not lost. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    this.#wake = undefined;
    this.#rung = false;
  }
}
