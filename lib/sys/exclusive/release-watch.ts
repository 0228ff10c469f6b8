/**
 * Watches some holds (`holder.ts`) until the kernel reports that one of them may have changed its holder. inotify(7) on
 * the hold's directory reports a release, which removes the entry. A pidfd of the holder reports that the process
 * ended, also by SIGKILL. With `arrivals`, inotify also reports a rename into that directory: layers are published by
 * such a rename.
 */
import { hasCode } from '../kernel/errno.ts';
import { close } from '../kernel/files.ts';
import { check, cpath, nr, O, syscall } from '../kernel/libc.ts';
import { isOfThisNamespace, type Owner } from '../kernel/process.ts';

const IN = {
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  MOVED_TO: 0x80,
  ONLYDIR: 0x1000000,
} as const;
const WANTED = IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF | IN.ONLYDIR;
const ARRIVALS = IN.MOVED_TO | IN.ONLYDIR;
const POLLIN = 1;
/**
 * Stands for a descriptor that could not be opened; poll(2) ignores negative descriptors. Without its report, the
 * caller only looks later.
 */
const NONE = -1;

export class ReleaseWatch implements Disposable {
  readonly #inotify: number;
  readonly #holders: number[] = [];

  /** Starts the watch: the kernel reports what happens from now on to the holds and in the directory `arrivals`. */
  constructor(places: readonly string[], arrivals?: string) {
    const inotify = syscall(nr.inotify_init1, O.CLOEXEC);
    this.#inotify = inotify;
    if (inotify < 0) return;
    const watches = (path: string, events: number) =>
      syscall(nr.inotify_add_watch, inotify, cpath(path), events) >= 0;
    const all = places.every((path) => watches(path, WANTED));
    if (all && (arrivals === undefined || watches(arrivals, ARRIVALS))) return;
    close(inotify);
    this.#inotify = NONE;
  }

  /** Watches the current holders too. Returns false when the kernel will not report all changes. */
  follow(holders: readonly (Owner | undefined)[]): boolean {
    for (const holder of holders) {
      if (holder === undefined || !isOfThisNamespace(holder)) return false;
      const pidfd = syscall(nr.pidfd_open, holder.pid);
      if (pidfd < 0) return false;
      this.#holders.push(pidfd);
    }
    return this.#inotify >= 0;
  }

  /** Blocks this thread until the kernel reports a change, a signal arrives, or `ms` have passed. @throws SysError */
  block(ms: number): void {
    // struct pollfd: a descriptor, and two shorts: the requested events and the returned events.
    const watched = [this.#inotify, ...this.#holders];
    const descriptors = Int32Array.from(watched.flatMap((fd) => [fd, POLLIN]));
    const time = BigInt64Array.of(BigInt(Math.floor(ms / 1000)), BigInt(Math.floor((ms % 1000) * 1e6)));
    try {
      check(syscall(nr.ppoll, bytes(descriptors), watched.length, bytes(time)), 'ppoll', 'a claim');
    } catch (error) {
      if (!hasCode(error, 'EINTR')) throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#inotify, ...this.#holders]) if (fd >= 0) close(fd);
  }
}

function bytes(numbers: Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(numbers.buffer);
}
