/** A file of a lower tree copied into this layer's, with all it has, as overlayfs does before it links to it. */
import { byteName, bytesOf } from '../../base/bytes.ts';
import type { Directory } from '../../sys/files/directory.ts';
import {
  chmodAt,
  chownAt,
  close,
  fchmod,
  fchown,
  fsetxattr,
  futimes,
  mknodAt,
  openAt,
  readlinkAt,
  symlinkAt,
  utimesAt,
  writeAll,
} from '../../sys/kernel/files.ts';
import { check, libc, O } from '../../sys/kernel/libc.ts';
import { S, type Stat } from '../../sys/kernel/stat.ts';
import { ContentHash, HASH_BLOCK, hashXattrs } from '../manifest/content-hash.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import { type LayerTree, pathOf } from './layer-tree.ts';
import type { LowerName } from './lower-trees.ts';
import { observed, readXattrs } from './metadata.ts';

/** Makes `name` in `parent` from `found`. */
export function copyUp(
  found: LowerName,
  tree: LayerTree,
  parent: Directory,
  name: string,
  manifest: TreeManifestWriter,
): void {
  const path = pathOf(parent, name);
  switch (found.stat.mode & S.IFMT) {
    case S.IFREG:
      tree.put(parent, name, (fd, bytes) => copyFile(found, fd, bytes, path, manifest));
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
  manifest: TreeManifestWriter,
): void {
  const source = openAt(rootFd, bytesOf(from), O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    const fd = openAt(dirfd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      const content = copyContent(source, fd, path);
      fchown(fd, stat.uid, stat.gid, path);
      fchmod(fd, stat.mode & 0o7777, path);
      const xattrs = readXattrs(source);
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

function copyContent(source: number, fd: number, path: string): string {
  const hash = new ContentHash();
  const block = Buffer.allocUnsafe(HASH_BLOCK);
  for (;;) {
    const length = check(Number(libc.read(source, block, block.length)), 'read', path);
    if (length === 0) return hash.finish();
    const part = block.subarray(0, length);
    hash.update(part);
    writeAll(fd, part, path);
  }
}
