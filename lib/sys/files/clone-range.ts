/** Shares the data of one file with another (ioctl_ficlonerange(2)): a copy that is made in an instant and needs no room. */

import { hasCode } from '../kernel/errno.ts';
import { close, openAt, unlinkAt, writeAll } from '../kernel/files.ts';
import { AT_FDCWD, check, libc, mutate, O, type PathBytes } from '../kernel/libc.ts';
import { formatOwner, owner } from '../kernel/process.ts';
import { statFd } from '../kernel/stat.ts';
import { temporaryPath } from './temporary.ts';

/** _IOW(0x94, 13, struct file_clone_range), the same number on x86-64 and arm64. */
const FICLONERANGE = 0x4020940d;
/** The largest block of a filesystem that shares data. A range must begin at a block of both files. */
export const CLONE_ALIGNMENT = 64 * 1024;

/**
 * Makes all data of `from` the data of `to` from `offset` on, which is at or behind the end of `to` and a multiple of
 * CLONE_ALIGNMENT. The kernel takes the data at one moment: no write of another process is half in it.
 * @param path names `from` in errors
 * @throws SysError EOPNOTSUPP, EINVAL or EXDEV where the two files cannot share data; ENOSPC
 */
export function cloneInto(from: number, to: number, offset: number, path: PathBytes = ''): void {
  const range = new BigInt64Array([BigInt(from), 0n, 0n, BigInt(offset)]);
  const bytes = new Uint8Array(range.buffer);
  mutate('ioctl FICLONERANGE', path, () => libc.ioctl(to, FICLONERANGE, bytes));
}

/**
 * A file without a name in `directory`, for reading and writing, which vanishes when it is closed or the process ends.
 * Undefined where the filesystem has no such files.
 */
export function openNamelessFile(directory: string): number | undefined {
  try {
    return openAt(AT_FDCWD, directory, O.TMPFILE | O.RDWR, 0o600);
  } catch (error) {
    // EISDIR: this kernel or filesystem ignores O_TMPFILE and sees only O_DIRECTORY (open(2)).
    if (hasCode(error, 'EOPNOTSUPP', 'EISDIR', 'EINVAL')) return undefined;
    throw error;
  }
}

/**
 * A file for reading and writing that nobody else can open and that vanishes with the process, on any filesystem: where
 * `openNamelessFile` has none, the file loses its name at once. @throws SysError
 */
export function openUnnamedFile(directory: string): number {
  const nameless = openNamelessFile(directory);
  if (nameless !== undefined) return nameless;
  const path = temporaryPath(directory, formatOwner(owner()));
  const fd = openAt(AT_FDCWD, path, O.RDWR | O.CREAT | O.EXCL, 0o600);
  try {
    unlinkAt(AT_FDCWD, path);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** True where files of `directory` can share data. @throws SysError */
export function canClone(directory: string): boolean {
  const open: number[] = [];
  try {
    for (let count = 0; count < 2; count += 1) {
      const fd = openNamelessFile(directory);
      if (fd === undefined) return false;
      open.push(fd);
    }
    const [from = -1, to = -1] = open;
    writeAll(from, new Uint8Array(1));
    cloneInto(from, to, 0);
    return statFd(to).size === 1;
  } catch (error) {
    if (hasCode(error, 'EOPNOTSUPP', 'EINVAL', 'EXDEV', 'ENOTTY', 'ENOSYS', 'EPERM')) return false;
    throw error;
  } finally {
    for (const fd of open) close(fd);
  }
}

/** Reads at the file offset into `buffer`; returns the number of bytes, 0 at the end. @throws SysError */
export function readInto(fd: number, buffer: Uint8Array, path: PathBytes = ''): number {
  return check(Number(libc.read(fd, buffer, buffer.length)), 'read', path);
}
