import { PluginError } from '../../base/errors/error.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { type Hold, refresh, release, tryHold } from './holder.ts';

/**
 * The policy for every lock, on proper-lockfile: it keeps the lock fresh, notices when it was lost and lets
 * go when the process exits by itself. What it does by directory names (make, is it old, remove) goes through
 * `holder.ts` here: a lock says whose it is, that of a killed process costs a read of /proc instead of ten seconds,
 * that of a process whose event loop is busy is not taken away, and two who find it stale cannot both get it.
 *
 * A lock serialises a short section or saves work. Nothing is ever corrupt without one.
 */
export interface LockOptions {
  /** Longest wait for the lock; 0 tries once. */
  readonly timeoutMs: number;
  /** What is being waited for, in the words of the STORE_BUSY sentence. */
  readonly what: string;
  readonly signal?: AbortSignal;
}

/** proper-lockfile's own staleness, against which it refreshes; taking over is decided in `holder.ts`. */
const STALE_MS = 10_000;
const UPDATE_MS = 2_500;

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;

/**
 * Runs `section` while holding the lock at `path` (a directory that exists only while held). Its signal
 * aborts when the lock was lost, by a disk that stood still or somebody's `rm`, or when the caller's does.
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
 * With proper-lockfile comes a handler for every signal that ends a process, to let go of its locks (signal-exit). A
 * handler waits for its turn in the event loop, which who deletes or hashes a large tree never gives it: a clean would
 * end when it is done, whoever asks it to. A lock of the dead is free here, so the handlers go.
 */
function loadLockfile(): typeof import('proper-lockfile') {
  const before = new Set(signalListeners().map(([, listener]) => listener));
  // Not import(): nobody else can add a listener meanwhile.
  const lockfile = require('proper-lockfile') as typeof import('proper-lockfile');
  for (const [signal, listener] of signalListeners())
    if (!before.has(listener)) process.removeListener(signal, listener);
  return lockfile;
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
 * ERELEASED: it was lost before, and the section has been told. A SysError: the disk will not let go of the name;
 * the section is done, and the lock is a dead holder's as soon as this process ends.
 */
function ignoreLost(error: unknown): void {
  if (!(error instanceof SysError) && !hasCode(error, 'ERELEASED', 'ENOTACQUIRED')) throw error;
}

type Done<T = void> = (error: unknown, value?: T) => void;

/** The five calls that proper-lockfile makes of `fs`, for one lock. */
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
    // Without a hold it asks whether the other's lock is old: never, or `mkdir` would have taken it over.
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
