import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import { chmodAt, chownAt, lsetxattr, utimesAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';

/** Applies a directory's attributes to another one. chown(2) comes first, since it clears setuid and setgid. */
export function applyAttributes(path: Uint8Array, attributes: DirectoryAttributes): void {
  chownAt(AT_FDCWD, path, attributes.uid, attributes.gid);
  chmodAt(AT_FDCWD, path, attributes.mode);
  for (const [name, value] of attributes.xattrs) lsetxattr(path, name, Buffer.from(value, 'base64'));
  if (attributes.mtime) utimesAt(AT_FDCWD, path, attributes.mtime);
}
