import { hasCode, SysError } from '../sys/kernel/errno.ts';
import { close } from '../sys/kernel/files.ts';
import { check, libc, O } from '../sys/kernel/libc.ts';
import { statFd } from '../sys/kernel/stat.ts';
import { openBeneath } from './beneath.ts';

const EFBIG = 27;

/**
 * The bytes of a file; undefined where there is none. The file is opened without blocking, since open(2) of a FIFO
 * would wait for ever.
 * @throws SysError EFBIG for more than `limit` bytes
 */
export function readBeneath(directory: number, path: string, limit: number): Buffer | undefined {
  const fd = openIfThere(directory, path, O.RDONLY | O.NONBLOCK | O.NOFOLLOW);
  if (fd === undefined) return undefined;
  try {
    const { size } = statFd(fd);
    if (size > limit) throw new SysError(EFBIG, 'read', path);
    const buffer = Buffer.alloc(size + 1);
    let length = 0;
    while (length < buffer.length) {
      const rest = buffer.subarray(length);
      const got = check(Number(libc.read(fd, rest, rest.length)), 'read', path);
      if (got === 0) return buffer.subarray(0, length);
      length += got;
    }
    throw new SysError(EFBIG, 'read', path);
  } finally {
    close(fd);
  }
}

/** Opens a path; undefined for ENOENT, and for no other error. */
export function openIfThere(at: number, path: string, flags: number): number | undefined {
  try {
    return openBeneath(at, Buffer.from(path), flags);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** True for a directory. A link to a directory is none, since no link is followed. */
export function isDirectoryAt(at: number, path: string): boolean {
  try {
    close(openBeneath(at, Buffer.from(path), O.PATH | O.DIRECTORY | O.NOFOLLOW));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return false;
    throw error;
  }
}
