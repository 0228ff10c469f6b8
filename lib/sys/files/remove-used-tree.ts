import { hasCode } from '../kernel/errno.ts';
import type { PathBytes } from '../kernel/libc.ts';
import { removeTree } from './remove-tree.ts';

/** As long as a mount may stay busy in a delete. A tree that no process writes to takes one attempt. */
const WRITERS_MS = 5000;
/** Errors that mean that a directory was filled, removed, replaced or moved during the removal. */
const CHANGED = ['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE'] as const;

/**
 * As `removeTree`, for a tree in which processes of a container may still make names: its overlay lives as long as they
 * do, and new files appear in the upper directory. An attempt that meets such a change stops, and the next one starts
 * at the top of what is left, until the top is empty and is removed. Blocks for WRITERS_MS at most, counted from the
 * first change.
 * @throws SysError of the last attempt, or at once for an error that no such change explains
 */
export function removeUsedTree(dirfd: number, name: PathBytes): void {
  let until = Number.POSITIVE_INFINITY;
  let changed: unknown;
  // An attempt after the first change ends with the time, not with the tree.
  const before = () => {
    if (performance.now() >= until) throw changed;
  };
  for (;;) {
    try {
      removeTree(dirfd, name, { before, inUse: true });
      return;
    } catch (error) {
      if (!hasCode(error, ...CHANGED)) throw error;
      const now = performance.now();
      changed = error;
      until = Math.min(until, now + WRITERS_MS);
      if (now >= until) throw error;
    }
  }
}
