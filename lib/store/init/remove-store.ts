import { isPluginError } from '../../base/errors/error.ts';
import { Undo } from '../../base/undo.ts';
import { removeTree } from '../../sys/files/remove-tree.ts';
import { letGoOf } from '../../sys/kernel/anchor.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import {
  close,
  fchmod,
  fchown,
  mkdirAt,
  openAt,
  openDir,
  rmdirAt,
  unlinkAt,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { exists } from '../../sys/kernel/look.ts';
import { unmountRetrying } from '../../sys/mounts/mount.ts';
import { isMountRoot } from '../../sys/mounts/mountinfo.ts';
import { BUSY_MILLISECONDS, removeImage } from '../collect/remove.ts';
import { detachAllImages } from '../collect/unmount-layers.ts';
import { anchorStore } from '../layout/anchored.ts';
import { readAnyFormat } from '../layout/format.ts';
import { type Layout, STORE_DIRECTORIES } from '../layout/layout.ts';
import { storeExists } from '../opened.ts';
import { Store } from '../store.ts';
import { type BackingDeps, mountBacking } from './backing.ts';

const TOPS = STORE_DIRECTORIES.filter((name) => !name.includes('/'));

/**
 * Deletes everything of a store: images, layers, and the loop file with its mount. The marker is deleted last. Also
 * accepted are stores of older versions, and stores that others than root could write. An operator's own files in the
 * directory stay, and then the directory stays too.
 * @throws STORE_NOT_INITIALIZED, STORE_FOREIGN, STORE_VERSION, STORE_MARKER_DAMAGED when the path is not a store that
 * graft knows; then nothing is changed
 */
export async function removeStore(layout: Layout, deps: BackingDeps): Promise<void> {
  const undo = new Undo(deps.log);
  try {
    mountIfNot(layout, deps, undo);
    readAnyFormat(layout);
  } catch (error) {
    undo.run();
    throw error;
  }
  shutOut(layout);
  anchorStore(layout);
  const store = Store.openToRemove(layout.root);
  for (const id of store.images.list()) await removeImage(store, id, deps.log);
  detachAllImages(layout);
  await removeRest(layout);
}

/**
 * Mounts the loop file, if it is not mounted. The file may belong to GrootFS: only its content, once mounted, tells.
 */
function mountIfNot(layout: Layout, deps: BackingDeps, undo: Undo): void {
  try {
    readAnyFormat(layout);
  } catch (error) {
    if (!isPluginError(error, 'STORE_NOT_MOUNTED')) throw error;
    if (!storeExists(layout)) {
      mkdirAt(AT_FDCWD, layout.root, 0o755);
      undo.add(() => rmdirAt(AT_FDCWD, layout.root));
    }
    mountBacking(layout, 0, deps, undo);
  }
}

/**
 * Takes away everybody else's access to the store's directories, so that no path can be redirected during the
 * removal: a store of version 1 belongs to the mapped root. A link or a file in place of one of the directories is
 * removed, and a link's target is not touched.
 */
function shutOut({ root }: Layout): void {
  const fd = openDir(root);
  try {
    takeFromOthers(fd, root);
    for (const name of TOPS) shutOutOf(fd, name, `${root}/${name}`);
  } finally {
    close(fd);
  }
}

function shutOutOf(root: number, name: string, path: string): void {
  let fd = -1;
  try {
    fd = openAt(root, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    takeFromOthers(fd, path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    if (!hasCode(error, 'ENOENT')) unlinkAt(root, name);
    mkdirAt(root, name, 0o700);
  } finally {
    if (fd >= 0) close(fd);
  }
}

function takeFromOthers(fd: number, path: string): void {
  fchown(fd, 0, 0, path);
  fchmod(fd, 0o700, path);
}

async function removeRest(layout: Layout): Promise<void> {
  letGoOf(layout.root);
  if (exists(layout.backing) && isMountRoot(layout.root)) {
    await unmountRetrying(layout.root, { timeoutMs: BUSY_MILLISECONDS });
    unlinkAt(AT_FDCWD, layout.backing);
  } else {
    empty(layout.root);
  }
  try {
    rmdirAt(AT_FDCWD, layout.root);
  } catch (error) {
    // EBUSY: the operator's own mount point. ENOTEMPTY: the operator's own files. Both stay; the store in them is
    // gone.
    if (!hasCode(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
}

function empty(root: string): void {
  const fd = openDir(root);
  try {
    for (const name of [...TOPS.filter((top) => top !== 'meta'), 'meta']) removeTree(fd, name);
  } finally {
    close(fd);
  }
}
