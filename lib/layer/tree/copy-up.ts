/**
 * Copies a file of a lower tree into this layer's tree, with all its attributes, as overlayfs does before it makes a
 * hard link to the file.
 */
import { byteName, bytesOf } from '../../base/bytes.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import {
  chmodAt,
  chownAt,
  close,
  fchmod,
  fchown,
  fsetxattr,
  ftruncate,
  futimes,
  mknodAt,
  openAt,
  readlinkAt,
  symlinkAt,
  utimesAt,
  writeAll,
} from '../../sys/kernel/files.ts';
import { dataRegions, moveTo } from '../../sys/kernel/holes.ts';
import { check, libc, O } from '../../sys/kernel/libc.ts';
import { S, type Stat } from '../../sys/kernel/stat.ts';
import { ContentHash, HASH_BLOCK, hashXattrs } from '../manifest/content-hash.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import type { Xattr } from '../tar/entry.ts';
import { dataBytes, type SparseRegions, storedBytes } from '../tar/sparse-map.ts';
import type { Budget } from './budget.ts';
import { type LayerTree, pathOf } from './layer-tree.ts';
import type { LowerName } from './lower-trees.ts';
import { observed, readXattrs } from './metadata.ts';

/**
 * Makes `name` in `parent` as a copy of `found`. The disk use of the file is charged before the copy is made.
 * @throws PluginError LAYER_EXCEEDS_QUOTA, LAYER_TOO_LARGE
 */
export function copyUp(
  found: LowerName,
  tree: LayerTree,
  parent: Directory,
  name: string,
  manifest: TreeManifestWriter,
  budget: Budget,
): void {
  const path = pathOf(parent, name);
  switch (found.stat.mode & S.IFMT) {
    case S.IFREG:
      tree.put(parent, name, (fd, bytes) => copyFile(found, fd, bytes, path, { manifest, budget }));
      return;
    case S.IFLNK:
      tree.put(parent, name, (fd, bytes) => {
        const target = readlinkAt(found.rootFd, bytesOf(found.path));
        symlinkAt(target, fd, bytes);
        copyOwnerAndTime(found.stat, fd, bytes);
        manifest.symlink(path, observed(found.stat, ''), byteName(target));
      });
      return;
    default:
      tree.put(parent, name, (fd, bytes) => {
        mknodAt(fd, bytes, S.IFIFO | 0o600);
        copyOwnerAndTime(found.stat, fd, bytes);
        chmodAt(fd, bytes, found.stat.mode & 0o7777);
        manifest.fifo(path, observed(found.stat, ''));
      });
  }
}

function copyOwnerAndTime(stat: Stat, fd: number, name: Uint8Array): void {
  chownAt(fd, name, stat.uid, stat.gid);
  utimesAt(fd, name, stat.mtime);
}

function copyFile(
  { rootFd, path: from, stat }: LowerName,
  dirfd: number,
  name: Uint8Array,
  path: string,
  { manifest, budget }: { readonly manifest: TreeManifestWriter; readonly budget: Budget },
): void {
  const source = openAt(rootFd, bytesOf(from), O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    const regions = dataRegions(source, stat.size, path);
    const xattrs = readXattrs(source);
    budget.attributes(xattrs);
    const stored = storedBytes(regions, stat.size) + sizeOf(xattrs);
    budget.copy(stat.size, { data: dataBytes(regions), stored });
    const fd = openAt(dirfd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      const content = copyContent(source, fd, { size: stat.size, regions, path }, budget);
      fchown(fd, stat.uid, stat.gid, path);
      fchmod(fd, stat.mode & 0o7777, path);
      for (const xattr of xattrs) fsetxattr(fd, bytesOf(xattr.name), xattr.value, path);
      futimes(fd, stat.mtime, path);
      manifest.file(path, observed(stat, hashXattrs(xattrs)), stat.size, content);
    } finally {
      close(fd);
    }
  } finally {
    close(source);
  }
}

function sizeOf(xattrs: readonly Xattr[]): number {
  return xattrs.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
}

/** The errno for a disk that fails to return its data. */
const EIO = 5;

/** Copies the data of a file. Holes stay holes, and are hashed as the zeros that a reader gets. */
function copyContent(
  source: number,
  fd: number,
  { size, regions, path }: { size: number; regions: SparseRegions; path: string },
  { checkpoint }: Budget,
): string {
  const hash = new ContentHash();
  const block = Buffer.allocUnsafe(HASH_BLOCK);
  let end = 0;
  for (let i = 0; i < regions.length; i += 2) {
    const [offset = 0, length = 0] = [regions[i], regions[i + 1]];
    hash.zeros(offset - end);
    end = offset + length;
    moveTo(source, offset, path);
    moveTo(fd, offset, path);
    for (let left = length; left > 0; ) {
      checkpoint();
      const wanted = Math.min(left, block.length);
      const read = check(Number(libc.read(source, block, wanted)), 'read', path);
      // The file became shorter during the copy, so its content is unknown.
      if (read === 0) throw new SysError(EIO, 'read', path);
      const part = block.subarray(0, read);
      hash.update(part);
      writeAll(fd, part, path);
      left -= read;
    }
  }
  hash.zeros(size - end);
  if (end < size) ftruncate(fd, size, path);
  return hash.finish();
}
