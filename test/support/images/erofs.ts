/** EROFS images, read by readers that share no code with the writer: the kernel and erofs-utils. */
import { mkdirSync, readFileSync } from 'node:fs';
import { unmount } from '../../../lib/sys/mounts/mount.ts';
import { must, run } from '../shell.ts';
import { compareTrees } from './compare-trees.ts';

/**
 * The differences between a tree and an image of it, for `fsck.erofs` and for the kernel. Without EROFS in the kernel, the
 * tree that `fsck.erofs` extracts is compared, which has no extended attributes.
 * @param at a new directory
 */
export async function compareImage(tree: string, image: string, at: string): Promise<string[]> {
  await must('fsck.erofs', [image]);
  if (!(await kernelHasErofs())) {
    await must('fsck.erofs', [`--extract=${at}`, image]);
    return compareTrees(tree, at, { ignoreXattrs: [''], linkCounts: false, directoryTimes: false });
  }
  await mountErofs(image, at);
  try {
    // XFS shows an ACL under a second name of its own.
    return compareTrees(tree, at, { ignoreXattrs: ['trusted.SGI_'] });
  } finally {
    unmount(at);
  }
}

/** Mounts an image at a new directory: from the file where the kernel does that (6.12), else through a loop device. */
export async function mountErofs(image: string, at: string): Promise<void> {
  mkdirSync(at);
  const mounted = await run('mount', ['-i', '-t', 'erofs', '-o', 'ro', image, at]);
  // The loop device ends with the mount.
  if (mounted.code !== 0) await must('mount', ['-t', 'erofs', '-o', 'ro,loop', image, at]);
}

async function kernelHasErofs(): Promise<boolean> {
  await run('modprobe', ['-q', 'erofs']);
  return readFileSync('/proc/filesystems', 'utf8').includes('\terofs\n');
}
