import { PluginError } from '../../base/errors/error.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { keepingIgnoredSignals } from '../kernel/signal-actions.ts';
import { type Hold, refresh, release, tryHold } from './hold.ts';

/**
 * All locks of graft use proper-lockfile, which refreshes a lock, notices its loss and releases it when the process
 * exits by itself. Its calls on the lock's directory (make, stat, remove) go through `holder.ts` instead of `fs`. This
 * has four effects: a lock names its holder; the lock of a killed process costs a read of /proc instead of ten seconds;
 * a process whose event loop is busy does not lose its lock; and of two processes that find a lock stale, only one gets
 * it.
 *
 * A lock serialises a short section or saves work. The state on disk is never corrupt without a lock.
 */
export interface LockOptions {
  /** Longest wait for the lock, in milliseconds. 0 tries once. */
  readonly timeoutMs: number;
  /** Names the work that the caller waits for, for the sentence of STORE_BUSY. */
  readonly what: string;
  readonly signal?: AbortSignal;
}

/** The staleness that proper-lockfile derives its refresh interval from. `holder.ts` decides about taking over. */
const STALE_MS = 10_000;
const UPDATE_MS = 2_500;

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;

/**
 * Runs `section` while this process holds the lock at `path` (a directory that exists only while the lock is held). The
 * signal that `section` gets aborts when the lock was lost (the disk did not answer for long, or somebody removed the
 * directory), or when the caller's signal aborts.
 * @throws STORE_BUSY after `timeoutMs`; SysError; what `section` throws
 */
export async function withLock<T>(
  path: string,
  options: LockOptions,
  section: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const unlock = await acquire(path, options, (error) => lost.abort(error));
  try {
    return await section(options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal);
  } finally {
    await unlock();
  }
}

type Unlock = () => Promise<void>;

async function acquire(path: string, options: LockOptions, onLost: (error: Error) => void): Promise<Unlock> {
  const { lock } = loadLockfile();
  const start = performance.now();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    options.signal?.throwIfAborted();
    try {
      const unlock = await lock(path, {
        lockfilePath: path,
        realpath: false,
        stale: STALE_MS,
        update: UPDATE_MS,
        retries: 0,
        fs: heldDirectory(),
        onCompromised: onLost,
      });
      return () => unlock().catch(ignoreLost);
    } catch (error) {
      if (!hasCode(error, 'ELOCKED')) throw error;
    }
    const left = start + options.timeoutMs - performance.now();
    if (left <= 0) {
      throw new PluginError('STORE_BUSY', { what: options.what, seconds: options.timeoutMs / 1000 });
    }
    await Bun.sleep(Math.min(left, pause * (0.5 + Math.random())));
  }
}

/**
 * Loads proper-lockfile without its signal handlers. Its dependency signal-exit adds a handler for every signal that
 * ends a process, to release the locks. A handler runs only when the event loop gets a turn, and a process that deletes
 * or hashes a large tree gives it none: a signal would not end a clean until the clean is done. The handlers are not
 * needed, since the lock of a dead process counts as free here.
 */
function loadLockfile(): typeof import('proper-lockfile') {
  lockfile ??= keepingIgnoredSignals(requireLockfile);
  return lockfile;
}
let lockfile: typeof import('proper-lockfile') | undefined;

function requireLockfile(): typeof import('proper-lockfile') {
  const before = new Set(signalListeners().map(([, listener]) => listener));
  // Not import(), which is asynchronous: other code could add a listener in between.
  const loaded = require('proper-lockfile') as typeof import('proper-lockfile');
  for (const [signal, listener] of signalListeners())
    if (!before.has(listener)) process.removeListener(signal, listener);
  return loaded;
}

type SignalListener = readonly [NodeJS.Signals, NodeJS.SignalsListener];

function signalListeners(): SignalListener[] {
  const signals = process
    .eventNames()
    .filter((name): name is NodeJS.Signals => String(name).startsWith('SIG'));
  return signals.flatMap((signal) =>
    process.listeners(signal).map((listener): SignalListener => [signal, listener as NodeJS.SignalsListener]),
  );
}

/**
 * Errors of a release that the caller need not see. ERELEASED: the lock was lost before, and the signal told the
 * section. SysError: the disk does not remove the name; the section is done, and the lock's holder counts as dead as
 * soon as this process ends.
 */
function ignoreLost(error: unknown): void {
  if (!(error instanceof SysError) && !hasCode(error, 'ERELEASED', 'ENOTACQUIRED')) throw error;
}

type Done<T = void> = (error: unknown, value?: T) => void;

/** The five functions of `fs` that proper-lockfile calls, for one lock. */
function heldDirectory() {
  let hold: Hold | undefined;
  let touched = new Date();
  const letGo = () => {
    if (hold) release(hold);
    hold = undefined;
  };
  const touch = (time: Date) => {
    if (!hold || !refresh(hold)) throw new SysError(ENOENT, 'utimensat', hold?.path ?? '');
    touched = time;
  };
  return {
    mkdir: (path: string, done: Done) =>
      answer(done, () => {
        const tried = tryHold(path);
        if (!('entry' in tried)) throw new SysError(EEXIST, 'mkdir', path);
        hold = tried;
      }),
    // Without a hold, proper-lockfile asks for the age of the other process's lock. The answer is always "fresh":
    // `mkdir` takes a dead holder's lock over by itself.
    stat: (path: string, done: Done<{ mtime: Date }>) =>
      answer(done, () => {
        if (!hold) return { mtime: new Date() };
        if (!refresh(hold)) throw new SysError(ENOENT, 'stat', path);
        return { mtime: touched };
      }),
    utimes: (_path: string, _atime: Date, mtime: Date, done: Done) => answer(done, () => touch(mtime)),
    rmdir: (_path: string, done: Done) => answer(done, letGo),
    rmdirSync: letGo,
  };
}
const ENOENT = 2;
const EEXIST = 17;

function answer<T>(done: Done<T>, call: () => T): void {
  let value: T;
  try {
    value = call();
  } catch (error) {
    done(error);
    return;
  }
  done(null, value);
}
