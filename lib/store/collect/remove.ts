import { isPluginError, PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { OpenedStore } from '../opened.ts';
import type { ImageRecord } from '../records/image-record.ts';
import { removeDirectory } from './remove-directory.ts';

/** A container's last process may still be ending: wait as long as GrootFS does (50 times 100 ms). */
export const BUSY_MILLISECONDS = 5000;

/**
 * Removes an image: record, directory with its mount, project id. A second call continues an interrupted removal.
 * Returns false when there was no such image.
 * @throws IMAGE_DELETE_FAILED when a part of it is left. Then the id is not free, the record says that the image is
 * being deleted, and the next delete or sweep tries again
 */
export async function removeImage(
  store: OpenedStore,
  id: ImageId,
  log: Logger,
  busyMs = BUSY_MILLISECONDS,
): Promise<boolean> {
  // Checked first, since a read-only filesystem refuses even to remove a file that does not exist.
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

/** Removes the record first: an image without a record is half deleted, and any sweep continues. */
function takeRecord(store: OpenedStore, id: ImageId, isThere: boolean): ImageRecord | undefined {
  try {
    if (!isThere && !store.images.hasRecord(id)) return undefined;
    const record = store.images.recordIfReadable(id);
    store.images.removeRecord(id);
    return record;
  } catch (error) {
    // Without the directory of the records there is no record, and the container can be removed all the same.
    if (isPluginError(error, 'STORE_INCOMPLETE')) return undefined;
    throw error;
  }
}

/**
 * Writes back the record of an image that could not be removed, marked as being deleted. If the write fails, the
 * image is half deleted, as after a crash.
 */
function keep(store: OpenedStore, id: ImageId, record: ImageRecord | undefined, log: Logger): void {
  if (record === undefined || !store.images.exists(id) || store.images.hasRecord(id)) return;
  try {
    store.images.writeRecord(id, { ...record, mounted: false, deleting: true });
    store.images.forgetSize(id);
  } catch (error) {
    log.error('record-not-kept', error, { id });
  }
}
