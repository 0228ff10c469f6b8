import { PluginError } from '../base/errors/error.ts';
import { fullBelow } from '../store/layout/mount-state.ts';
import { isFull } from '../store/layout/staging.ts';
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
    // A loop device answers EIO when the disk below its file is full.
    const below = hasCode(error, 'EIO', 'EUCLEAN') ? fullBelow(layout) : undefined;
    if (below !== undefined)
      throw new PluginError(
        'STORE_NO_SPACE_BELOW',
        { store: layout.root, backing: below.backing },
        { cause: error },
      );
    if (!isFull(error)) throw error;
    throw new PluginError('STORE_NO_SPACE', { store: layout.root }, { cause: error });
  }
}
