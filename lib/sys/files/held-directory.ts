import { close, openAt } from '../kernel/files.ts';
import { AT_FDCWD, O } from '../kernel/libc.ts';
import { statFd, statIfThere } from '../kernel/stat.ts';

/**
 * A directory that is recognised by its inode, wherever it is moved and whatever takes its name. The directory stays
 * open, so the filesystem gives its inode number to no other file. (XFS reuses the number of a removed inode at once.)
 */
export class HeldDirectory implements Disposable {
  readonly #fd: number;
  readonly #ino: bigint;

  /** @throws SysError */
  constructor(path: string) {
    this.#fd = openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    this.#ino = statFd(this.#fd).ino;
  }

  /** Returns true when this directory has the name `path` now, on the filesystem where it was opened. */
  isAt(path: string): boolean {
    return statIfThere(AT_FDCWD, path)?.ino === this.#ino;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
