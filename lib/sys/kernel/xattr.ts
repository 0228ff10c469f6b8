/** Extended attributes by open descriptor. Values and names are raw bytes; `files.ts` has the calls by name. */
import { hasCode } from './errno.ts';
import { check, cpath, mutate, nr, type PathBytes, syscall } from './libc.ts';

/** XATTR_SIZE_MAX and XATTR_LIST_MAX (linux/limits.h): the kernel returns nothing larger. */
export const XATTR_MAX_BYTES = 65536;

/** The value; undefined where the attribute is not set or the filesystem does not support it. */
export function fgetxattr(fd: number, name: PathBytes, path: PathBytes = ''): Uint8Array | undefined {
  const buffer = new Uint8Array(XATTR_MAX_BYTES);
  try {
    const length = check(syscall(nr.fgetxattr, fd, cpath(name), buffer, buffer.length), 'fgetxattr', path);
    return buffer.slice(0, length);
  } catch (error) {
    if (hasCode(error, 'ENODATA', 'EOPNOTSUPP')) return undefined;
    throw error;
  }
}

export function flistxattr(fd: number, path: PathBytes = ''): Uint8Array[] {
  const buffer = new Uint8Array(XATTR_MAX_BYTES);
  const length = check(syscall(nr.flistxattr, fd, buffer, buffer.length), 'flistxattr', path);
  const names: Uint8Array[] = [];
  for (let at = 0; at < length; ) {
    const end = buffer.indexOf(0, at);
    names.push(buffer.slice(at, end));
    at = end + 1;
  }
  return names;
}

/** Removes the attribute. An attribute that is not set is no error. */
export function fremovexattr(fd: number, name: PathBytes, path: PathBytes = ''): void {
  try {
    mutate('fremovexattr', path, () => syscall(nr.fremovexattr, fd, cpath(name)));
  } catch (error) {
    if (!hasCode(error, 'ENODATA', 'EOPNOTSUPP')) throw error;
  }
}
