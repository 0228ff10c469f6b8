import { close, openAt } from '../kernel/files.ts';
import { AT_FDCWD, O } from '../kernel/libc.ts';
import { statFd, statIfThere } from '../kernel/stat.ts';

/**
 * A directory that is known again, wherever it is moved and whatever takes its name: as long as it is open its inode
 * number is nobody else's, also where the filesystem gives the number of a removed one to the next (XFS does at once).
 */
export class HeldDirectory implements Disposable {
  readonly #fd: number;
  readonly #ino: bigint;

  /** @throws SysError */
  constructor(path: string) {
    this.#fd = openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    this.#ino = statFd(this.#fd).ino;
  }

  /** Whether it is what has this name now, on the filesystem where it was opened. */
  isAt(path: string): boolean {
    return statIfThere(AT_FDCWD, path)?.ino === this.#ino;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
