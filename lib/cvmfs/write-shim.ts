import { type ByteName, bytesOf } from '../base/bytes.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import {
  close,
  fchmod,
  fchown,
  fsetxattr,
  futimes,
  linkAt,
  mkdirAt,
  mknodAt,
  openDir,
  type Timespec,
} from '../sys/kernel/files.ts';
import { statAt } from '../sys/kernel/stat.ts';
import type { ShimDirectory } from './shim-plan.ts';

const S_IFCHR = 0o020000;

/**
 * How a container sees ids of the repository: with the store's mapping where the repository is used through an idmapped
 * mount.
 */
export interface OwnerMap {
  /** The container's root. */
  readonly root: { readonly uid: number; readonly gid: number };
  uid(id: number): number;
  gid(id: number): number;
}

/** Owners that are the same in the repository and in the container's mount. */
export const SAME_OWNERS: OwnerMap = { root: { uid: 0, gid: 0 }, uid: (id) => id, gid: (id) => id };

/**
 * chown(2) takes -1 as "leave it". Files of the publisher's -1 (cvmfs issue 4439) are shown as nobody's, so here they
 * stay root's.
 */
const NO_ID = 4294967295;

/**
 * Writes a shim or a mask into the empty directory `target`: directories with the layer's attributes, whiteouts, and
 * opaque markers. Children come before attributes, since each new name changes its directory's time.
 * @param kept directories that exist already and keep their attributes
 * @throws SysError of the store's filesystem
 */
export function writeShim(
  target: string,
  directories: readonly ShimDirectory[],
  owners: OwnerMap,
  kept: ReadonlySet<string> = new Set(),
): void {
  const root = openDir(target);
  try {
    const whiteout = new WhiteoutMaker();
    const times = new Map<string, Timespec>();
    for (const { path } of directories) if (kept.has(path)) times.set(path, timeOf(root, path));
    for (const directory of directories) {
      if (directory.path !== '') makeDirectory(root, directory.path);
      fill(root, directory, whiteout);
    }
    for (const directory of directories.toReversed()) {
      const time = times.get(directory.path);
      if (time === undefined) dress(root, directory, owners);
      else setTime(root, directory.path, time);
    }
  } finally {
    close(root);
  }
}

function makeDirectory(root: number, path: ByteName): void {
  try {
    mkdirAt(root, bytesOf(path), 0o700);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function timeOf(root: number, path: ByteName): Timespec {
  return statAt(root, path === '' ? '.' : bytesOf(path)).mtime;
}

function setTime(root: number, path: ByteName, time: Timespec): void {
  const fd = openDir(path === '' ? '.' : bytesOf(path), root);
  futimes(fd, time, path);
  close(fd);
}

function fill(root: number, directory: ShimDirectory, whiteout: WhiteoutMaker): void {
  for (const name of directory.whiteouts) whiteout.make(root, within(directory.path, name));
}

function dress(root: number, directory: ShimDirectory, owners: OwnerMap): void {
  const fd = openDir(directory.path === '' ? '.' : bytesOf(directory.path), root);
  try {
    const { mode, uid, gid, sec, nsec } = directory.stamp;
    const owner = directory.ownedByRoot ? owners.root : { uid: owners.uid(uid), gid: owners.gid(gid) };
    fchown(fd, owned(owner.uid), owned(owner.gid), directory.path);
    // chown(2) clears set-id bits, so the mode comes after it.
    fchmod(fd, mode, directory.path);
    for (const [name, value] of directory.xattrs)
      fsetxattr(fd, name, Buffer.from(value, 'base64'), directory.path);
    if (directory.opaque) fsetxattr(fd, 'trusted.overlay.opaque', Buffer.from('y'), directory.path);
    futimes(fd, { sec, nsec }, directory.path);
  } finally {
    close(fd);
  }
}

function owned(id: number): number {
  return id === NO_ID ? 0 : id;
}

function within(directory: ByteName, name: ByteName): Uint8Array {
  return bytesOf((directory === '' ? name : `${directory}/${name}`) as ByteName);
}

/**
 * Makes whiteouts, which are character devices 0:0. All whiteouts of a shim are links to one inode, as overlayfs does
 * it: a layer can delete a hundred thousand names.
 */
class WhiteoutMaker {
  #first: Uint8Array | undefined;

  make(root: number, path: Uint8Array): void {
    if (this.#first !== undefined && this.#link(root, this.#first, path)) return;
    mknodAt(root, path, S_IFCHR);
    this.#first = path;
  }

  /** Returns false when the inode has as many links as the filesystem allows (ext4: 65,000). */
  #link(root: number, first: Uint8Array, path: Uint8Array): boolean {
    try {
      linkAt(root, first, root, path);
      return true;
    } catch (error) {
      if (hasCode(error, 'EMLINK', 'EPERM')) return false;
      throw error;
    }
  }
}
