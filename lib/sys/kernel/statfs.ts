import { openAt } from './files.ts';
import { AT_FDCWD, check, libc, O, type PathBytes } from './libc.ts';

/** Names of filesystems by magic number (linux/magic.h, and the filesystems' own headers). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x58465342, 'xfs'],
  [0xef53, 'ext4'],
  [0x794c7630, 'overlay'],
  [0x65735546, 'fuse'],
  [0x1021994, 'tmpfs'],
  [0x9123683e, 'btrfs'],
  [0x73717368, 'squashfs'],
  [0x6969, 'nfs'],
  [0x1021997, '9p'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0xff534d42, 'cifs'],
  [0x858458f6, 'ramfs'],
  [0xc0ffee, 'hostfs'],
  [0x9fa0, 'proc'],
  [0xe0f5e1e2, 'erofs'],
]);

export interface Filesystem {
  /** The usual name, or the magic number as `0x…`. ext2, ext3 and ext4 share one number and are all `ext4`. */
  readonly type: string;
  readonly magic: number;
  /** Inside a directory with a project quota, XFS reports the limit instead of the disk. */
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Bytes that an unprivileged process may still use. */
  readonly availableBytes: number;
  /** Number of inodes; 0 where the filesystem does not count them (btrfs). */
  readonly totalFiles: number;
  readonly freeFiles: number;
}

/** fstatfs(2) of a path (opened with O_PATH) or of a descriptor. @throws SysError */
export function filesystemOf(at: PathBytes | number): Filesystem {
  if (typeof at === 'number') return statfsOf(at, '');
  const fd = openAt(AT_FDCWD, at, O.PATH);
  try {
    return statfsOf(fd, at);
  } finally {
    libc.close(fd);
  }
}

/**
 * struct statfs is the same on x86-64 and arm64: words of eight bytes, the type in the first, the fragment size in the
 * tenth.
 */
function statfsOf(fd: number, path: PathBytes): Filesystem {
  const words = new BigUint64Array(15);
  check(libc.fstatfs(fd, new Uint8Array(words.buffer)), 'fstatfs', path);
  const at = (index: number) => Number(words[index] ?? 0n);
  const magic = Number(BigInt.asUintN(32, words[0] ?? 0n));
  // f_frsize (statfs(2), since 2.6) is the unit of the counts. FUSE sets f_bsize to another value.
  const unit = at(9) || at(1);
  return {
    type: NAMES.get(magic) ?? `0x${magic.toString(16)}`,
    magic,
    totalBytes: at(2) * unit,
    freeBytes: at(3) * unit,
    availableBytes: at(4) * unit,
    totalFiles: at(5),
    freeFiles: at(6),
  };
}
