import { PluginError } from '../base/errors/error.ts';
import { isFull } from '../store/layout/staging.ts';
import type { Store } from '../store/store.ts';

/**
 * ENOSPC names the file that happened to be written when the disk was full, a lease or a file of a layer. Whoever reads
 * the sentence needs to know which store is full. A container's own limit cannot be the reason while it is made: no
 * limit is below what making it writes (MIN_QUOTA_BYTES).
 * @throws STORE_NO_SPACE; what `work` throws
 */
export async function tellingFull<T>({ layout }: Store, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isFull(error)) throw error;
    throw new PluginError('STORE_NO_SPACE', { store: layout.root }, { cause: error });
  }
}
