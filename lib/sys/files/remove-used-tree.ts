import { hasCode } from '../kernel/errno.ts';
import type { PathBytes } from '../kernel/libc.ts';
import { removeTree } from './remove-tree.ts';

/** As long as a mount may stay busy in a delete. A tree without a writer takes one try. */
const WRITERS_MS = 5000;
/** A directory that was filled, removed, replaced by something else, or moved while the removal was in it. */
const CHANGED = ['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE'] as const;

/**
 * `removeTree` of a tree that processes of a container may still be working in: its overlay lives as long as they do, and
 * what they make there appears in the upper directory. A try that meets such a change ends, and the next begins at the top
 * of what is left; the top itself goes in the moment in which it is empty. Blocks for WRITERS_MS at most from the first
 * change on.
 * @throws SysError of the last try, and at once for anything but such a change
 */
export function removeUsedTree(dirfd: number, name: PathBytes): void {
  for (let until = Number.POSITIVE_INFINITY; ; ) {
    try {
      removeTree(dirfd, name);
      return;
    } catch (error) {
      if (!hasCode(error, ...CHANGED)) throw error;
      const now = performance.now();
      until = Math.min(until, now + WRITERS_MS);
      if (now >= until) throw error;
    }
  }
}
