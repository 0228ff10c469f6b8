/** Tells an EROFS, without the code that mounts one: each create asks, and few mount. */
import { filesystemOf } from '../kernel/statfs.ts';

/** include/uapi/linux/magic.h */
const EROFS_MAGIC = 0xe0f5e1e2;

/** True for a directory on an EROFS. An image that is not mounted leaves an empty directory. @throws SysError ENOENT */
export function isErofs(directory: string | number): boolean {
  return filesystemOf(directory).magic === EROFS_MAGIC;
}
