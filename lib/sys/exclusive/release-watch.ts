/**
 * Told by the kernel that one of some places of `holder.ts` changes hands: by inotify(7) on its directory, whose entry
 * a release removes, and by a pidfd of its holder, which tells of one that is killed too. And, where a directory is
 * given for it, that something was renamed into that directory: so layers are published.
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
/** A descriptor that could not be had; poll(2) passes over it. Without what it would tell, one only looks later. */
const NONE = -1;

export class ReleaseWatch implements Disposable {
  readonly #inotify: number;
  readonly #holders: number[] = [];

  /** From here on what happens to the places, and what arrives in the directory, is told. */
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

  /** Watches who has the places now too. Returns false where not all that can happen will be told. */
  follow(holders: readonly (Owner | undefined)[]): boolean {
    for (const holder of holders) {
      if (holder === undefined || !isOfThisNamespace(holder)) return false;
      const pidfd = syscall(nr.pidfd_open, holder.pid);
      if (pidfd < 0) return false;
      this.#holders.push(pidfd);
    }
    return this.#inotify >= 0;
  }

  /** Blocks this thread until something is told, a signal comes, or `ms` have passed. @throws SysError */
  block(ms: number): void {
    // struct pollfd: a descriptor, and two shorts: the events that are wanted, and those that came.
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
