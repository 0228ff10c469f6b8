import { hasCode } from '../kernel/errno.ts';
import { fchmod, fchown, fdPath, fsetxattr, futimes, lgetxattr, llistxattr } from '../kernel/files.ts';
import { AT_FDCWD, type PathBytes } from '../kernel/libc.ts';
import { statAt } from '../kernel/stat.ts';

/** Attributes that describe the directory itself. */
const CARRIED = /^(?:user\.|system\.posix_acl_(?:access|default)$|security\.capability$)/;
/**
 * Attributes that overlayfs obeys. CARRIED already excludes `trusted.overlay.*`. Mounts with `userxattr` obey the same
 * names under `user.`; in the other layer they would change the meaning of the copied directory.
 */
const OVERLAY = /^user\.overlay\./;

/** Returns true for an attribute that is copied when a directory is made again in another layer. */
export function isCarried(name: Uint8Array): boolean {
  const text = Buffer.from(name).toString('latin1');
  return CARRIED.test(text) && !OVERLAY.test(text);
}

/**
 * Copies the extended attributes for which `carry` returns true. A filesystem without support for an attribute is an
 * error, except for `user.*`. Returns how many attributes were set. @throws SysError
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
 * Gives the directory `toFd` the owner, mode, attributes and times of the directory at `from`, a path in any layer. A
 * new directory in an upper layer hides the attributes of the one below, so it must have the same ones
 * (opencontainers/image-spec#737). @throws SysError
 */
export function copyDirectoryAttributes(from: PathBytes, toFd: number): void {
  const stat = statAt(AT_FDCWD, from);
  // The order matters: chown(2) clears setuid and setgid; an ACL changes the group's bits, and chmod(2) the ACL's mask.
  fchown(toFd, stat.uid, stat.gid);
  fchmod(toFd, stat.mode & 0o7777);
  copyXattrs(from, toFd);
  futimes(toFd, stat.mtime);
}
