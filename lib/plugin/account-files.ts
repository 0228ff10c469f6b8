import { MiB } from '../base/limits.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { readToEnd } from '../sys/kernel/read.ts';
import { S, statFd } from '../sys/kernel/stat.ts';

/** A passwd file is a stranger's. Those of large sites have some thousands of entries of 80 bytes. */
const MAX_BYTES = MiB;

export type AccountFile = 'etc/passwd' | 'etc/group';

/** What such a file holds, one character a byte. */
export interface AccountText {
  /** Undefined where there is no file, or nothing fit to read. */
  readonly text: string | undefined;
  /** Why what is there cannot be read; undefined where it could, or nothing is there. */
  readonly problem: string | undefined;
}

/** The files of an image that say who its users are, each read once, when it is first asked for. */
export class AccountFiles {
  readonly #openRoot: () => number;
  readonly #known = new Map<AccountFile, AccountText>();

  /** @param openRoot a descriptor of the image's merged tree */
  constructor(openRoot: () => number) {
    this.#openRoot = openRoot;
  }

  read(name: AccountFile): AccountText {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const root = this.#openRoot();
    try {
      const found = readIn(root, name);
      this.#known.set(name, found);
      return found;
    } finally {
      close(root);
    }
  }
}

/** The files below a directory that others see, a container's rootfs say. */
export function accountFilesBelow(rootfs: string): AccountFiles {
  return new AccountFiles(() => openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY));
}

/**
 * Read as if the image were the whole machine: links stay inside, a FIFO does not block
 * (both were used against engines that read a stranger's passwd).
 */
function readIn(root: number, name: AccountFile): AccountText {
  try {
    const fd = openat2(root, name, O.RDONLY | O.NONBLOCK, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
    try {
      const { mode, size } = statFd(fd);
      if ((mode & S.IFMT) !== S.IFREG) return problem(`/${name} of the image is not a regular file`);
      if (size > MAX_BYTES) return problem(`/${name} of the image has more than ${MAX_BYTES} bytes`);
      const text = Buffer.from(readToEnd(fd, MAX_BYTES, name)).toString('latin1');
      return { text, problem: undefined };
    } finally {
      close(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { text: undefined, problem: undefined };
    if (hasCode(error, 'ELOOP', 'EXDEV', 'EACCES', 'ENXIO', 'EISDIR', 'ENAMETOOLONG'))
      return problem(`/${name} of the image cannot be opened`);
    throw error;
  }
}

function problem(words: string): AccountText {
  return { text: undefined, problem: words };
}
