import { hasCode } from '../kernel/errno.ts';
import { fchmod, fchown, fdPath, fsetxattr, futimes, lgetxattr, llistxattr } from '../kernel/files.ts';
import { AT_FDCWD, type PathBytes } from '../kernel/libc.ts';
import { statAt } from '../kernel/stat.ts';

/** Attributes that say something about the directory itself. */
const CARRIED = /^(?:user\.|system\.posix_acl_(?:access|default)$|security\.capability$)/;
/**
 * What overlayfs would obey. `trusted.overlay.*` is no match above; the same names under `user.` are what mounts
 * with `userxattr` obey, and a directory copied into another layer must not mean there what it meant here.
 */
const OVERLAY = /^user\.overlay\./;

/** Is this attribute carried over when a directory is made again in another layer? */
export function isCarried(name: Uint8Array): boolean {
  const text = Buffer.from(name).toString('latin1');
  return CARRIED.test(text) && !OVERLAY.test(text);
}

/**
 * Copies the extended attributes that `carry` says yes to. A filesystem that keeps no attributes of a kind
 * is passed over for `user.*` only. Returns how many were set. @throws SysError
 */
export function copyXattrs(from: PathBytes, toFd: number, carry = isCarried): number {
  let copied = 0;
  for (const name of llistxattr(from)) {
    const value = carry(name) ? lgetxattr(from, name) : undefined;
    if (value !== undefined && setIfKept(toFd, name, value)) copied += 1;
  }
  return copied;
}

function setIfKept(toFd: number, name: Uint8Array, value: Uint8Array): boolean {
  try {
    fsetxattr(toFd, name, value, fdPath(toFd));
    return true;
  } catch (error) {
    if (hasCode(error, 'EOPNOTSUPP') && Buffer.from(name).toString('latin1').startsWith('user.'))
      return false;
    throw error;
  }
}

/**
 * Gives the directory `toFd` owner, mode, attributes and times of the directory at `from`, which may be a name in
 * any layer. A new directory in an upper layer hides the one below, and so must look the same
 * (opencontainers/image-spec#737). @throws SysError
 */
export function copyDirectoryAttributes(from: PathBytes, toFd: number): void {
  const stat = statAt(AT_FDCWD, from);
  // In this order: chown clears setuid and setgid; an ACL changes the group's bits, and chmod the ACL's mask.
  fchown(toFd, stat.uid, stat.gid);
  fchmod(toFd, stat.mode & 0o7777);
  copyXattrs(from, toFd);
  futimes(toFd, stat.mtime);
}
