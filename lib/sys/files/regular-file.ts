/** Reads regular files whose path another program chose: no device, no pipe, and no more bytes than a limit. */
import { errnoMeaning, SysError } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
import { moveTo } from '../kernel/holes.ts';
import { AT_FDCWD, O } from '../kernel/libc.ts';
import { readUpTo } from '../kernel/read.ts';
import { S, type Stat, statAt, statFd, statFollowing } from '../kernel/stat.ts';

const EISDIR = 21;

/** Whether the last name of a path may be a symbolic link. */
export type FinalLink = 'follow' | 'refuse';

/** Facts of a regular file at one moment. */
export type FileFacts = Pick<Stat, 'size' | 'ino' | 'devMajor' | 'devMinor' | 'mtime'>;

/** A path that is no regular file, or a file that is too large or that changes while it is read. The message says which. */
export class FileRefused extends Error {
  readonly kind: 'link' | 'special' | 'large' | 'changed';

  constructor(kind: FileRefused['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Opens a regular file. The path is looked at before the open, since open(2) alone has an effect on some devices (a
 * watchdog starts). The open has O_NONBLOCK, since open(2) of a FIFO waits for a writer and that wait cannot be
 * interrupted. The descriptor is looked at again, since the path may have been replaced in between.
 * @throws FileRefused; SysError of statx(2) and openat(2), EISDIR
 */
function openRegular(path: string, link: FinalLink): { fd: number; facts: FileFacts } {
  requireRegular(path, link === 'follow' ? statFollowing(path) : statAt(AT_FDCWD, path));
  const nofollow = link === 'refuse' ? O.NOFOLLOW : 0;
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NONBLOCK | O.NOCTTY | nofollow);
  try {
    return { fd, facts: requireRegular(path, statFd(fd)) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function requireRegular(path: string, stat: Stat): FileFacts {
  const type = stat.mode & S.IFMT;
  // The error of open(2) for a directory that is opened for writing. The caller knows which kind of file it expected.
  if (type === S.IFDIR) throw new SysError(EISDIR, 'open', path);
  if (type === S.IFLNK) throw new FileRefused('link', 'it is a symbolic link');
  if (type !== S.IFREG) throw new FileRefused('special', 'it is a device or a pipe, not a regular file');
  return stat;
}

/** Facts of a regular file that can be read. @throws as `openRegular` */
export function regularFile(path: string, link: FinalLink): FileFacts {
  const { fd, facts } = openRegular(path, link);
  close(fd);
  return facts;
}

/** The bytes of a small file. @throws as `openRegular`; FileRefused over `maxBytes`, and for a file that changes */
export function readSmallFile(path: string, maxBytes: number, link: FinalLink): Uint8Array {
  const { fd, facts } = openRegular(path, link);
  try {
    if (facts.size > maxBytes)
      throw new FileRefused('large', `it has ${facts.size} bytes, more than the ${maxBytes} allowed`);
    // Asks for one byte more than the file had, so that a file that grows meanwhile is noticed.
    const bytes = readUpTo(fd, facts.size + 1, path);
    if (bytes.length !== facts.size) throw new FileRefused('changed', 'it changed while it was read');
    return bytes;
  } finally {
    close(fd);
  }
}

/** Bytes that `readPieces` reads at a time. */
const PIECE = 64 * 1024;

/**
 * The bytes of a file from an offset on. @throws as `openRegular`; SysError of read(2)
 */
export async function* readPieces(
  path: string,
  link: FinalLink,
  from: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { fd } = openRegular(path, link);
  try {
    yield* readPiecesOf(fd, path, from);
  } finally {
    close(fd);
  }
}

/** The bytes of an open file from an offset on; one reader at a time. @param path for errors. @throws SysError */
export async function* readPiecesOf(
  fd: number,
  path: string,
  from: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  moveTo(fd, from, path);
  for (;;) {
    const piece = readUpTo(fd, PIECE, path);
    if (piece.length === 0) return;
    yield piece;
  }
}

/** The reason of an error of statx(2), openat(2) or read(2), in words. */
export function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? errnoMeaning(code) : String(error);
}
