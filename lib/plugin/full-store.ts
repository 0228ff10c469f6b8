import { PluginError } from '../base/errors/error.ts';
import { fullBelow } from '../store/layout/place.ts';
import { isFull } from '../store/layout/staging.ts';
import type { Store } from '../store/store.ts';
import { hasCode } from '../sys/kernel/errno.ts';

/**
 * ENOSPC names the file that happened to be written when the disk was full, a lease or a file of a layer. Whoever reads
 * the sentence needs to know which store is full. A container's own limit cannot be the reason while it is made: no
 * limit is below what making it writes (MIN_QUOTA_BYTES).
 * @throws STORE_NO_SPACE, STORE_NO_SPACE_BELOW; what `work` throws
 */
export async function tellingFull<T>({ layout }: Store, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A loop device answers EIO where the disk below its file takes no more.
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
