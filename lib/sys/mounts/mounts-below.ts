import { byteName } from '../../base/bytes.ts';
import { SysError } from '../kernel/errno.ts';
import { close, fdPath, openDir, readlinkAt } from '../kernel/files.ts';
import { AT_FDCWD } from '../kernel/libc.ts';
import { utf8 } from '../kernel/utf8.ts';
import { unmount } from './mount.ts';
import { type Mount, mountPathBytes, readMountinfo } from './mountinfo.ts';

/** The mounts below a directory in this mount namespace, the latest first. @throws SysError ENOENT */
export function mountsBelow(directory: string): { readonly mount: Mount; readonly below: string }[] {
  const prefix = `${realPath(directory)}/`;
  return readMountinfo()
    .filter(({ mountPoint }) => mountPoint.startsWith(prefix))
    .map((mount) => ({ mount, below: mount.mountPoint.slice(prefix.length) }))
    .reverse();
}

/** Detaches a mount from the tree at once, and does not change its files. Returns false where the kernel refuses. */
export function detachMount(mount: Mount): boolean {
  try {
    unmount(mountPathBytes(mount), { detach: true });
    return true;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return false;
  }
}

/** The kernel's own path for a directory. Mount points have such paths, which never lead through links. */
export function realPath(directory: string): string {
  const fd = openDir(directory);
  try {
    return utf8(byteName(readlinkAt(AT_FDCWD, fdPath(fd))));
  } finally {
    close(fd);
  }
}
