import type { Logger } from '../../base/log.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { Store } from '../store.ts';
import { removeDirectory } from './remove-directory.ts';

/** A container's last process may still be dying: as long as GrootFS tries (50 times 100 ms). */
export const BUSY_MILLISECONDS = 5000;

/**
 * Takes an image away: record, directory with its mount, project id. Done again it finishes what was interrupted.
 * Returns false when there was no such image.
 * @throws SysError when something of it is left; the id may be free again nevertheless
 */
export async function removeImage(store: Store, id: ImageId, log: Logger): Promise<boolean> {
  // Looked for first: a filesystem that is read-only refuses to remove even what is not there.
  const isThere = store.images.exists(id);
  // The record goes first: an image without one is half deleted, and any sweep finishes it.
  if (isThere || store.images.hasRecord(id)) store.images.removeRecord(id);
  return isThere && removeDirectory(store, store.layout.image(id), BUSY_MILLISECONDS, log);
}
