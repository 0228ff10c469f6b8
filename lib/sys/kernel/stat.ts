/**
 * statx(2), since Linux 4.11: one call gives type, mode, owner, size and times with nanoseconds, by descriptor and name
 * in bytes. node:fs takes only paths, and does not split the device number.
 */
import { printable } from '../../base/text.ts';
import { anchoredTarget } from './anchor.ts';
import { hasCode, SysError } from './errno.ts';
import { readlinkAt, type Timespec } from './files.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  check,
  cpath,
  nr,
  type PathBytes,
  syscall,
} from './libc.ts';

/** The type bits of a mode (inode(7)). */
export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o4000,
  ISGID: 0o2000,
} as const;

export interface Stat {
  /** Type and permission bits, as in st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /**
   * In units of 512 bytes, whatever the filesystem's own block size is (stat(2)). Counts data, attributes and block
   * mappings.
   */
  readonly blocks: number;
  readonly ino: bigint;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** Device number of the filesystem that holds the file. */
  readonly devMajor: number;
  readonly devMinor: number;
  readonly mtime: Timespec;
  /** Time of the last change of content or attributes. No call sets it. */
  readonly ctime: Timespec;
}

/** STATX_BASIC_STATS. */
const BASIC = 0x7ff;
const buffer = new Uint8Array(256);
const view = new DataView(buffer.buffer);

function statx(dirfd: number, path: PathBytes, flags: number): Stat {
  const [fd, name] = anchoredTarget(dirfd, path);
  check(syscall(nr.statx, fd, cpath(name), flags, BASIC, buffer), 'statx', path);
  return {
    nlink: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    blocks: Number(view.getBigUint64(48, true)),
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    mtime: { sec: Number(view.getBigInt64(112, true)), nsec: view.getUint32(120, true) },
    ctime: { sec: Number(view.getBigInt64(96, true)), nsec: view.getUint32(104, true) },
    rdevMajor: view.getUint32(128, true),
    rdevMinor: view.getUint32(132, true),
    devMajor: view.getUint32(136, true),
    devMinor: view.getUint32(140, true),
  };
}

/** The stat of the name itself, never of a link's target. */
export function statAt(dirfd: number, name: PathBytes): Stat {
  return statx(dirfd, name, AT_SYMLINK_NOFOLLOW);
}

/** The stat of `path`; a symbolic link at its end is followed. */
export function statFollowing(path: PathBytes): Stat {
  return statx(AT_FDCWD, path, 0);
}

/** As `statAt`; undefined when the name does not exist. */
export function statIfThere(dirfd: number, name: PathBytes): Stat | undefined {
  try {
    return statAt(dirfd, name);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Errors name what the descriptor was opened as, where /proc knows it. */
export function statFd(fd: number): Stat {
  try {
    return statx(fd, '', AT_EMPTY_PATH);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new SysError(error.errno, error.syscall, nameOf(fd));
  }
}

function nameOf(fd: number): string {
  try {
    return printable(readlinkAt(AT_FDCWD, `/proc/self/fd/${fd}`));
  } catch {
    return '';
  }
}

export function isDirectory(stat: Stat): boolean {
  return (stat.mode & S.IFMT) === S.IFDIR;
}
export function isSymlink(stat: Stat): boolean {
  return (stat.mode & S.IFMT) === S.IFLNK;
}
/**
 * Returns true for a whiteout of overlayfs: it hides the name in all lower layers
 * (Documentation/filesystems/overlayfs.rst).
 */
export function isWhiteout(stat: Stat): boolean {
  return (stat.mode & S.IFMT) === S.IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0;
}
