/**
 * Files by descriptor and name: the `*at` calls as functions that return or throw a SysError. All changes of state on
 * disk go through these functions (and `mount.ts`, `quota.ts`). So the descriptor that a caller passes decides where a
 * name can lead, and fault injection reaches every step.
 */
import { anchoredName, anchoredTarget } from './anchor.ts';
import { hasCode } from './errno.ts';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  check,
  cpath,
  libc,
  moreLibc,
  mutate,
  nr,
  O,
  type PathBytes,
  syscall,
  syscallIPIII,
  syscallIPIPI,
  syscallIPPII,
} from './libc.ts';

/** openat2(2) resolve flags. */
export const RESOLVE = { NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 16 } as const;

const how = new BigUint64Array(3);
const howBytes = new Uint8Array(how.buffer);

/** Highest number of attempts. So many races in a row have another cause than a busy machine. */
const MAX_RACES = 1000;

/**
 * openat2(2), since Linux 5.6. With RESOLVE.IN_ROOT `dirfd` is the root for `..` and absolute links alike. If another
 * process renames or mounts anywhere on the machine while the kernel resolves a `..`, the call fails with EAGAIN, and
 * is repeated here (measured: one call in 150 fails beside one process that renames a file to and fro).
 */
export function openat2(
  dirfd: number,
  path: PathBytes,
  flags: number,
  mode: number,
  resolve: number,
): number {
  how[0] = BigInt(flags | O.CLOEXEC);
  how[1] = BigInt(mode);
  how[2] = BigInt(resolve);
  const run = () => syscallIPPII(nr.openat2, dirfd, cpath(path), howBytes, 24);
  if ((flags & O.CREAT) !== 0) return mutate('openat2', path, run);
  for (let race = 1; ; race += 1) {
    try {
      return check(run(), 'openat2', path);
    } catch (error) {
      if (race === MAX_RACES || !hasCode(error, 'EAGAIN')) throw error;
    }
  }
}

/** openat(2), always close-on-exec. */
export function openAt(dirfd: number, path: PathBytes, flags: number, mode = 0): number {
  const [fd, name] = anchoredTarget(dirfd, path);
  const run = () => libc.openat(fd, cpath(name), flags | O.CLOEXEC, mode);
  // O_TMPFILE holds the bit of O_DIRECTORY too, so its bits are compared as a whole.
  const changes = (flags & (O.CREAT | O.TRUNC)) !== 0 || (flags & O.TMPFILE) === O.TMPFILE;
  return changes ? mutate('openat', path, run) : check(run(), 'openat', path);
}

/** Opens a directory for use as `dirfd`, never through a symbolic link at the end of `path`. */
export function openDir(path: PathBytes, dirfd = AT_FDCWD): number {
  return openAt(dirfd, path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
}

export function close(fd: number): void {
  libc.close(fd);
}

/** Writes all of `bytes`. @throws SysError (ENOSPC and others) */
export function writeAll(fd: number, bytes: Uint8Array, path: PathBytes = ''): void {
  for (let at = 0; at < bytes.length; ) {
    const rest = at === 0 ? bytes : bytes.subarray(at);
    at += mutate('write', path, () => Number(libc.write(fd, rest, rest.length)));
  }
}

export function mkdirAt(dirfd: number, path: PathBytes, mode: number): void {
  const [fd, name] = anchoredName(dirfd, path);
  mutate('mkdirat', path, () => libc.mkdirat(fd, cpath(name), mode));
}
export function unlinkAt(dirfd: number, path: PathBytes): void {
  const [fd, name] = anchoredName(dirfd, path);
  mutate('unlinkat', path, () => libc.unlinkat(fd, cpath(name), 0));
}
export function rmdirAt(dirfd: number, path: PathBytes): void {
  const [fd, name] = anchoredName(dirfd, path);
  mutate('unlinkat', path, () => libc.unlinkat(fd, cpath(name), AT_REMOVEDIR));
}
export function symlinkAt(target: PathBytes, dirfd: number, path: PathBytes): void {
  const [fd, name] = anchoredName(dirfd, path);
  mutate('symlinkat', path, () => libc.symlinkat(cpath(target), fd, cpath(name)));
}
/** linkat(2) without following a symbolic link at the end of `from`. */
export function linkAt(fromFd: number, from: PathBytes, toFd: number, to: PathBytes): void {
  const [source, old] = anchoredName(fromFd, from);
  const [target, name] = anchoredName(toFd, to);
  mutate('linkat', to, () => moreLibc().linkat(source, cpath(old), target, cpath(name), 0));
}
/** mknodat(2) by its number, since glibc has this symbol only since 2.33. `dev` is in the kernel's encoding. */
export function mknodAt(dirfd: number, path: PathBytes, mode: number, dev = 0): void {
  const [fd, name] = anchoredName(dirfd, path);
  mutate('mknodat', path, () => syscallIPIII(nr.mknodat, fd, cpath(name), mode, dev));
}

export const RENAME_NOREPLACE = 1;
/**
 * renameat2(2). With RENAME_NOREPLACE an existing target is EEXIST; a plain rename replaces an empty directory without
 * an error.
 */
export function renameAt(fromFd: number, from: PathBytes, toFd: number, to: PathBytes, flags = 0): void {
  const [source, old] = anchoredName(fromFd, from);
  const [target, name] = anchoredName(toFd, to);
  mutate('renameat2', to, () => syscallIPIPI(nr.renameat2, source, cpath(old), target, cpath(name), flags));
}

/** fchownat(2) that does not follow a link. Clears setuid, so the mode is set after the owner (chown(2)). */
export function chownAt(dirfd: number, path: PathBytes, uid: number, gid: number): void {
  const [fd, name] = anchoredTarget(dirfd, path);
  mutate('fchownat', path, () => libc.fchownat(fd, cpath(name), uid, gid, AT_SYMLINK_NOFOLLOW));
}
export function fchown(fd: number, uid: number, gid: number, path: PathBytes = ''): void {
  mutate('fchown', path, () => moreLibc().fchown(fd, uid, gid));
}
/** fchmodat(2). The call follows a link at the end of `path`, so it is only for names that are known to be no link. */
export function chmodAt(dirfd: number, path: PathBytes, mode: number): void {
  const [fd, name] = anchoredTarget(dirfd, path);
  mutate('fchmodat', path, () => libc.fchmodat(fd, cpath(name), mode, 0));
}
export function fchmod(fd: number, mode: number, path: PathBytes = ''): void {
  mutate('fchmod', path, () => moreLibc().fchmod(fd, mode));
}

const times = new BigInt64Array(4);
const timesBytes = new Uint8Array(times.buffer);
/** A time as tar has it: whole seconds (may be negative) and nanoseconds (0…999999999). */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}
function setTimes(time: Timespec): Uint8Array {
  times[0] = times[2] = BigInt(time.sec);
  times[1] = times[3] = BigInt(time.nsec);
  return timesBytes;
}
/** Sets access and modification time of the name itself, never of a link's target. */
export function utimesAt(dirfd: number, path: PathBytes, time: Timespec): void {
  const [fd, name] = anchoredTarget(dirfd, path);
  mutate('utimensat', path, () => libc.utimensat(fd, cpath(name), setTimes(time), AT_SYMLINK_NOFOLLOW));
}
export function futimes(fd: number, time: Timespec, path: PathBytes = ''): void {
  mutate('futimens', path, () => moreLibc().futimens(fd, setTimes(time)));
}

/**
 * Moves the file offset on by `bytes` without writing. The skipped range becomes a hole when a later write follows it.
 */
export function skip(fd: number, bytes: number): void {
  check(syscall(nr.lseek, fd, bytes, SEEK_CUR), 'lseek', '');
}
const SEEK_CUR = 1;
export function ftruncate(fd: number, size: number, path: PathBytes = ''): void {
  mutate('ftruncate', path, () => moreLibc().ftruncate(fd, size));
}
const POSIX_FADV_DONTNEED = 4;

/** Gives the pages of a file that is on the disk back to the kernel. An error changes nothing, so it is ignored. */
export function dropCachedPages(fd: number): void {
  syscall(nr.fadvise64, fd, 0, 0, POSIX_FADV_DONTNEED);
}

export function fsync(fd: number, path: PathBytes = ''): void {
  mutate('fsync', path, () => moreLibc().fsync(fd));
}
/** syncfs(2): syncs everything written to the filesystem of `fd`. */
export function syncfs(fd: number, path: PathBytes = ''): void {
  mutate('syncfs', path, () => moreLibc().syncfs(fd));
}

/**
 * A path for an open descriptor, or for a name in it, for calls that take only paths (xattrs). The kernel resolves it
 * by the descriptor.
 */
export function fdPath(dirfd: number, name?: PathBytes): PathBytes {
  const base = `/proc/self/fd/${dirfd}`;
  if (name === undefined) return base;
  return typeof name === 'string' ? `${base}/${name}` : Buffer.concat([Buffer.from(`${base}/`), name]);
}

export function lsetxattr(path: PathBytes, name: PathBytes, value: Uint8Array): void {
  const bytes = value.length === 0 ? EMPTY : value;
  mutate('lsetxattr', path, () => moreLibc().lsetxattr(cpath(path), cpath(name), bytes, value.length, 0));
}
export function fsetxattr(fd: number, name: PathBytes, value: Uint8Array, path: PathBytes = ''): void {
  const bytes = value.length === 0 ? EMPTY : value;
  mutate('fsetxattr', path, () => moreLibc().fsetxattr(fd, cpath(name), bytes, value.length, 0));
}
const EMPTY = new Uint8Array(1);
/** Largest size of an xattr value and of a list of names (XATTR_SIZE_MAX, XATTR_LIST_MAX in limits.h). */
const XATTR_MAX = 65536;
/** The raw value of the attribute, or undefined where it is not set. */
export function lgetxattr(path: PathBytes, name: PathBytes): Uint8Array | undefined {
  const buffer = new Uint8Array(XATTR_MAX);
  const n = Number(moreLibc().lgetxattr(cpath(path), cpath(name), buffer, buffer.length));
  if (n >= 0) return buffer.slice(0, n);
  try {
    check(n, 'lgetxattr', path);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === 'ENODATA' || code === 'EOPNOTSUPP') return undefined;
    throw error;
  }
  return undefined;
}
/** The names of all xattrs, as raw bytes. */
export function llistxattr(path: PathBytes): Uint8Array[] {
  const buffer = new Uint8Array(XATTR_MAX);
  const n = check(Number(moreLibc().llistxattr(cpath(path), buffer, buffer.length)), 'llistxattr', path);
  const names: Uint8Array[] = [];
  for (let at = 0; at < n; ) {
    const end = buffer.indexOf(0, at);
    names.push(buffer.slice(at, end));
    at = end + 1;
  }
  return names;
}

/** The target of a symbolic link, as raw bytes. */
export function readlinkAt(dirfd: number, path: PathBytes): Uint8Array {
  const buffer = new Uint8Array(4096);
  const [fd, name] = anchoredName(dirfd, path);
  const n = check(Number(libc.readlinkat(fd, cpath(name), buffer, buffer.length)), 'readlinkat', path);
  return buffer.slice(0, n);
}

export function fchdir(fd: number, path: PathBytes = ''): void {
  check(libc.fchdir(fd), 'fchdir', path);
}
