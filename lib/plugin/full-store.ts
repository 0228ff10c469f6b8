import { PluginError } from '../base/errors/error.ts';
import { Layout } from '../store/layout/layout.ts';
import { fullBelow } from '../store/layout/mount-state.ts';
import { isFull } from '../store/layout/staging.ts';
import { storeRoot } from '../store/opened.ts';
import type { Store } from '../store/store.ts';
import { hasCode } from '../sys/kernel/errno.ts';

/**
 * Turns an error of a full disk into one that names the store. ENOSPC names the file that was being written (a lease,
 * a file of a layer), but an operator needs to know which store is full. The container's own limit cannot be the
 * reason here: every limit is above the bytes that a create writes (MIN_QUOTA_BYTES).
 * @throws STORE_NO_SPACE, STORE_NO_SPACE_BELOW, and all errors of `work`
 */
export async function tellingFull<T>({ layout }: Store, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const below = namingFullBelow(layout, error);
    if (below !== error || !isFull(error)) throw below;
    throw new PluginError('STORE_NO_SPACE', { store: layout.root }, { cause: error });
  }
}

/**
 * The error to tell instead of EIO where the disk below a sparse loop file is full: a loop device answers EIO then. Any
 * verb that writes in the store may get it. Returns the error itself for every other reason.
 */
function namingFullBelow(layout: Layout, error: unknown): unknown {
  if (!isCausedBy(error, 'EIO', 'EUCLEAN')) return error;
  const below = fullBelow(layout);
  if (below === undefined) return error;
  return new PluginError(
    'STORE_NO_SPACE_BELOW',
    { store: layout.root, backing: below.backing },
    { cause: error },
  );
}

/** The same for any verb, which may have failed before it opened the store. */
export function namingFullDisk(storePath: string, error: unknown): unknown {
  try {
    return namingFullBelow(new Layout(storeRoot(storePath)), error);
  } catch {
    // The path is not that of a store, or the disk below cannot be asked: the first error is the one to tell.
    return error;
  }
}

const MAX_CAUSES = 5;

function isCausedBy(error: unknown, ...codes: readonly string[]): boolean {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES && at instanceof Error; depth += 1) {
    if (hasCode(at, ...codes)) return true;
    at = at.cause;
  }
  return false;
}
