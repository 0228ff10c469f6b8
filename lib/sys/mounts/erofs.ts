/**
 * Mounts of EROFS images, read-only. The kernel reads an image from its file since Linux 6.12, and with direct I/O, past the
 * file's own page cache, since 6.13; else a loop device stands between. Unmounting succeeds below a running overlay, which has
 * private clones of its lower directories (tried).
 */
import { hasCode, SysError } from '../kernel/errno.ts';
import { attachLoop, setDirectIo } from './loop.ts';
import { MS, mount } from './mount.ts';

/** `file`: from the file, with direct I/O. `loop`: through a loop device. */
export type ErofsWay = 'file' | 'loop';

const FLAGS = MS.RDONLY | MS.NOSUID | MS.NODEV;

/**
 * Mounts an image, from the file where `way` allows it and the kernel can.
 * @returns the way that succeeded
 * @throws SysError ENODEV without EROFS in the kernel, EBADMSG or EINVAL for a file that is no image
 */
export function mountErofs(file: string, target: string, way: ErofsWay): ErofsWay {
  if (way === 'file') {
    try {
      mountFile(file, target);
      return 'file';
    } catch (error) {
      // ENOTBLK: the kernel mounts block devices only, or not from this filesystem. EINVAL: it does not know the option.
      if (!hasCode(error, 'ENOTBLK', 'EINVAL')) throw error;
    }
  }
  mountLoop(file, target);
  return 'loop';
}

/** @throws SysError ENOTBLK where the kernel mounts block devices only; EINVAL where it lacks direct I/O */
export function mountFile(file: string, target: string): void {
  mount(file, target, 'erofs', FLAGS, 'directio');
}

export function mountLoop(file: string, target: string): void {
  // The mount keeps the device in use; it goes with the last user of the mount.
  using loop = attachLoop(file, { directIo: false, readOnly: true });
  avoidCache(loop.fd);
  mount(loop.device, target, 'erofs', FLAGS);
}

/** Else the page cache has the image twice. A filesystem without direct I/O refuses it. */
function avoidCache(loop: number): void {
  try {
    setDirectIo(loop, true);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
