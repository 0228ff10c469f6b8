import { MiB } from '../base/limits.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { readToEnd } from '../sys/kernel/read.ts';
import { S, statFd } from '../sys/kernel/stat.ts';

/**
 * The image chooses the size of its passwd file. The files of large sites have some thousands of entries of 80 bytes.
 */
const MAX_BYTES = MiB;

export type AccountFile = 'etc/passwd' | 'etc/group';

/** The content of an account file, one character for each byte. */
export interface AccountText {
  /** Undefined when there is no file, or when it cannot be read. */
  readonly text: string | undefined;
  /** The reason why an existing file cannot be read; undefined when it was read or does not exist. */
  readonly problem: string | undefined;
}

/** The files of an image that list its users and groups. Each is read once, at its first use. */
export class AccountFiles {
  readonly #openRoot: () => number;
  readonly #known = new Map<AccountFile, AccountText>();

  /** @param openRoot opens the image's merged tree and returns the descriptor */
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

/** The account files below a directory that other processes can see, such as a container's rootfs. */
export function accountFilesBelow(rootfs: string): AccountFiles {
  return new AccountFiles(() => openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY));
}

/**
 * Reads a file with the image's root directory as `/`: links stay inside, and a FIFO does not block. Both links and
 * FIFOs were used in attacks on engines that read passwd from an image.
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
