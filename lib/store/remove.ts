import type { Logger } from '../base/log.ts';
import { hasCode } from '../sys/errno.ts';
import { close, openDir, rmdirAt, unlinkAt } from '../sys/files.ts';
import { AT_FDCWD } from '../sys/libc.ts';
import { exists } from '../sys/look.ts';
import { unmountRetrying } from '../sys/mount.ts';
import { isMountRoot } from '../sys/mountinfo.ts';
import { removeTree } from '../sys/remove-tree.ts';
import type { ImageId } from './image-id.ts';
import { STORE_DIRECTORIES } from './layout.ts';
import { removeDirectory } from './remove-directory.ts';
import type { Store } from './store.ts';

/** A container's last process may still be dying: as long as GrootFS tries (50 times 100 ms). */
const BUSY_MILLISECONDS = 5000;

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

/**
 * Deletes everything that is the store's: images, layers, and the loop file with its mount. The marker goes last.
 * Somebody else's files, where the store was made in a directory that had some, stay and keep the directory.
 */
export async function removeStore(store: Store, log: Logger): Promise<void> {
  const { layout } = store;
  for (const id of store.images.list()) await removeImage(store, id, log);
  if (exists(layout.backing) && isMountRoot(layout.root)) {
    await unmountRetrying(layout.root, { timeoutMs: BUSY_MILLISECONDS });
    unlinkAt(AT_FDCWD, layout.backing);
  } else {
    empty(layout.root);
  }
  try {
    rmdirAt(AT_FDCWD, layout.root);
  } catch (error) {
    // The operator's own mount point, or files: the store in it is gone, the rest is not ours to undo.
    if (!hasCode(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
}

function empty(root: string): void {
  const fd = openDir(root);
  try {
    const top = STORE_DIRECTORIES.filter((name) => !name.includes('/') && name !== 'meta');
    for (const name of [...top, 'meta']) removeTree(fd, name);
  } finally {
    close(fd);
  }
}
