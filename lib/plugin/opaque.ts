import type { ByteName } from '../base/bytes.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { fgetxattr } from '../sys/kernel/xattr.ts';

const YES = 'y'.charCodeAt(0);

/** True for a directory that hides all below it. An attribute cannot be asked of a descriptor that was opened with O_PATH. */
export function isOpaque(pathFd: number, path: ByteName): boolean {
  const fd = openAt(pathFd, '.', O.RDONLY | O.DIRECTORY);
  try {
    return fgetxattr(fd, 'trusted.overlay.opaque', path)?.[0] === YES;
  } finally {
    close(fd);
  }
}
