import { byteName } from '../../base/bytes.ts';
import { SysError } from '../kernel/errno.ts';
import { close, fdPath, openDir, readlinkAt } from '../kernel/files.ts';
import { AT_FDCWD } from '../kernel/libc.ts';
import { utf8 } from '../kernel/utf8.ts';
import { unmount } from './mount.ts';
import { type Mount, mountPathBytes, readMountinfo } from './mountinfo.ts';

/** What is mounted below a directory in this mount namespace, the latest first. @throws SysError ENOENT */
export function mountsBelow(directory: string): { readonly mount: Mount; readonly below: string }[] {
  const prefix = `${realPath(directory)}/`;
  return readMountinfo()
    .filter(({ mountPoint }) => mountPoint.startsWith(prefix))
    .map((mount) => ({ mount, below: mount.mountPoint.slice(prefix.length) }))
    .reverse();
}

/** Takes a mount out of the tree at once; what is in it stays as it is. False where the kernel refuses. */
export function detachMount(mount: Mount): boolean {
  try {
    unmount(mountPathBytes(mount), { detach: true });
    return true;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return false;
  }
}

/** As the kernel names an open directory: mount points are never named through links. */
export function realPath(directory: string): string {
  const fd = openDir(directory);
  try {
    return utf8(byteName(readlinkAt(AT_FDCWD, fdPath(fd))));
  } finally {
    close(fd);
  }
}
