/**
 * Told by the kernel that a place of `holder.ts` changes hands: by inotify(7) on its directory, whose entry a release
 * removes, and by a pidfd of its holder, which tells of one that is killed too.
 */
import { hasCode } from './errno.ts';
import { close } from './files.ts';
import { check, cpath, nr, O, syscall } from './libc.ts';
import { isOfThisNamespace, type Owner } from './process.ts';

const IN = { DELETE: 0x200, DELETE_SELF: 0x400, MOVE_SELF: 0x800, ONLYDIR: 0x1000000 } as const;
const WANTED = IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF | IN.ONLYDIR;
const POLLIN = 1;
/** A descriptor that could not be had; poll(2) passes over it. Without what it would tell, one only looks later. */
const NONE = -1;

export class ReleaseWatch implements Disposable {
  readonly #inotify: number;
  #holder = NONE;

  /** From here on what happens to the directory is told. */
  constructor(path: string) {
    const inotify = syscall(nr.inotify_init1, O.CLOEXEC);
    this.#inotify = inotify;
    if (inotify < 0 || syscall(nr.inotify_add_watch, inotify, cpath(path), WANTED) >= 0) return;
    close(inotify);
    this.#inotify = NONE;
  }

  /** Watches who has the place now too. Returns false where not all that can happen will be told. */
  follow(holder: Owner | undefined): boolean {
    if (holder === undefined || !isOfThisNamespace(holder)) return false;
    this.#holder = syscall(nr.pidfd_open, holder.pid);
    return this.#inotify >= 0 && this.#holder >= 0;
  }

  /** Blocks this thread until something is told, a signal comes, or `ms` have passed. @throws SysError */
  block(ms: number): void {
    // struct pollfd: a descriptor, and two shorts: the events that are wanted, and those that came.
    const descriptors = Int32Array.of(this.#inotify, POLLIN, this.#holder, POLLIN);
    const time = BigInt64Array.of(BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1e6));
    try {
      check(syscall(nr.ppoll, bytes(descriptors), 2, bytes(time)), 'ppoll', 'a claim');
    } catch (error) {
      if (!hasCode(error, 'EINTR')) throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#inotify, this.#holder]) if (fd >= 0) close(fd);
  }
}

function bytes(numbers: Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(numbers.buffer);
}
