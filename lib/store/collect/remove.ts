import { isPluginError, PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { ImageRecord } from '../records/image-record.ts';
import type { Store } from '../store.ts';
import { removeDirectory } from './remove-directory.ts';

/** A container's last process may still be dying: as long as GrootFS tries (50 times 100 ms). */
export const BUSY_MILLISECONDS = 5000;

/**
 * Takes an image away: record, directory with its mount, project id. Done again it finishes what was interrupted.
 * Returns false when there was no such image.
 * @throws IMAGE_DELETE_FAILED when something of it is left: then its id is not free, its record says that it is being
 * deleted, and whoever deletes or sweeps next tries again
 */
export async function removeImage(
  store: Store,
  id: ImageId,
  log: Logger,
  busyMs = BUSY_MILLISECONDS,
): Promise<boolean> {
  // Looked for first: a filesystem that is read-only refuses to remove even what is not there.
  const isThere = store.images.exists(id);
  let record: ImageRecord | undefined;
  try {
    record = takeRecord(store, id, isThere);
    return isThere && (await removeDirectory(store, store.layout.image(id), busyMs, log));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    keep(store, id, record, log);
    const { path: at, code: errno } = error;
    throw new PluginError(
      'IMAGE_DELETE_FAILED',
      { path: store.layout.image(id), at, errno },
      { cause: error },
    );
  }
}

/** The record goes first: an image without one is half deleted, and any sweep finishes it. */
function takeRecord(store: Store, id: ImageId, isThere: boolean): ImageRecord | undefined {
  try {
    if (!isThere && !store.images.hasRecord(id)) return undefined;
    const record = store.images.recordIfReadable(id);
    store.images.removeRecord(id);
    return record;
  } catch (error) {
    // Where the directory of the records is gone there is no record, and the container can go all the same.
    if (isPluginError(error, 'STORE_INCOMPLETE')) return undefined;
    throw error;
  }
}

/**
 * The record of what could not be removed, and is no container any more. Where it cannot be written the image is half
 * deleted, as after a crash.
 */
function keep(store: Store, id: ImageId, record: ImageRecord | undefined, log: Logger): void {
  if (record === undefined || !store.images.exists(id) || store.images.hasRecord(id)) return;
  try {
    store.images.writeRecord(id, { ...record, mounted: false, deleting: true });
    store.images.forgetSize(id);
  } catch (error) {
    log.error('record-not-kept', error, { id });
  }
}
