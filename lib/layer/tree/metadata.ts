/** Sets owners, modes, times and attributes of a layer's files, with as few system calls as the result needs. */
import { PluginError } from '../../base/errors/error.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import { DEFAULT_ACL, type Directory } from '../../sys/files/directory.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import {
  chmodAt,
  chownAt,
  close,
  fchmod,
  fchown,
  fdPath,
  fsetxattr,
  futimes,
  lsetxattr,
  openAt,
  type Timespec,
  unlinkAt,
  utimesAt,
} from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { S, type Stat, statAt, statFd } from '../../sys/kernel/stat.ts';
import { fgetxattr, flistxattr, fremovexattr } from '../../sys/kernel/xattr.ts';
import { hashXattrs } from '../manifest/content-hash.ts';
import type { LineAttributes } from '../manifest/tree-manifest.ts';
import type { LayerEntry, Xattr } from '../tar/entry.ts';
import { OwnOwners } from './own-owners.ts';
import type { Publication } from './types.ts';
import { badXattr, CAPABILITY, chooseXattrs, isOurs, mapId, nameBytes } from './xattrs.ts';

/** Times outside this range may be cut by the filesystem (XFS without bigtime ends in 2038). */
const SAFE_SECONDS = 0x7fffffff;
const PROBE = '.graft-probe';
/** With these bits a caller who is not root can read the files again, and remove the tree. */
const OWN_FILE = 0o400;
const OWN_DIRECTORY = 0o700;

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export class Metadata {
  readonly #mappings: IdMappings;
  /**
   * The attributes that open(2) alone gives to a file: our ids (or the directory's group, with grpid), and the umask.
   */
  readonly #native: Stat;
  readonly #recordOnly: boolean;
  /** Undefined where the tree has the owners of the image, or only records them. */
  readonly own: OwnOwners | undefined;
  droppedXattrs = 0;

  /**
   * @param rootFd the root of the tree, still empty
   * @param attributes see `Publication`
   */
  constructor(mappings: IdMappings, rootFd: number, attributes: Publication['attributes'] = 'set') {
    this.own = attributes === 'own' ? new OwnOwners() : undefined;
    this.#mappings = mappings;
    this.#recordOnly = attributes === 'record';
    const fd = openAt(rootFd, PROBE, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o777);
    try {
      this.#native = statFd(fd);
    } finally {
      close(fd);
      unlinkAt(rootFd, PROBE);
    }
  }

  owner(entry: { readonly name: string; readonly uid: number; readonly gid: number }): Owner {
    if (this.own !== undefined) return { uid: this.#native.uid, gid: this.#native.gid };
    return {
      uid: mapId(entry, 'uid', entry.uid, this.#mappings.uids),
      gid: mapId(entry, 'gid', entry.gid, this.#mappings.gids),
    };
  }

  /** The mode with which open(2) makes a file: its owner must be able to write attributes (xattr(7)), unless it is root. */
  fileModeWhileMade(mode: number): number {
    return this.own === undefined ? mode & 0o777 : (mode & 0o777) | 0o600;
  }

  /** Sets the metadata of a file whose content is complete: a write would clear capabilities and setuid. */
  file(fd: number, entry: LayerEntry, path: string): LineAttributes {
    if (this.own !== undefined) return this.#ownFile(fd, entry, path, this.own);
    const owner = this.owner(entry);
    if (this.#recordOnly) {
      fchmod(fd, (entry.mode & 0o777) | OWN_FILE, path);
      futimes(fd, entry.mtime, path);
      return this.#recorded(entry, owner);
    }
    if (!this.#isNative(owner)) fchown(fd, owner.uid, owner.gid, path);
    // chown(2) clears setuid and setgid, so the mode is set after it.
    if (!this.#modeIsNative(entry.mode)) fchmod(fd, entry.mode, path);
    const xattrs = this.#setXattrs(entry, (xattr) => fsetxattr(fd, nameBytes(xattr), xattr.value, path));
    futimes(fd, entry.mtime, path);
    if (xattrs.length === 0 && isSafe(entry.mtime)) return lineOf(entry.mode, owner, entry.mtime, '');
    return observed(statFd(fd), hashXattrs(readXattrs(fd)));
  }

  /** An ordinary user's file: its final mode, which may forbid the user to write, comes last. */
  #ownFile(fd: number, entry: LayerEntry, path: string, own: OwnOwners): LineAttributes {
    const owner = this.owner(entry);
    const mode = own.fileMode(entry, owner);
    this.#setXattrs(entry, (xattr) => fsetxattr(fd, nameBytes(xattr), xattr.value, path));
    fchmod(fd, mode, path);
    futimes(fd, entry.mtime, path);
    return lineOf(mode, owner, entry.mtime, '');
  }

  directory(directory: Directory, entry: LayerEntry, state: 'new' | 'old'): LineAttributes {
    const owner = this.owner(entry);
    if (this.#recordOnly) {
      directory.setMode((entry.mode & 0o1777) | OWN_DIRECTORY);
      directory.setTime(entry.mtime);
      return this.#recorded(entry, owner);
    }
    const wanted = this.own?.directoryMode(directory.path, entry, owner) ?? entry.mode;
    if (state === 'old' || !this.#isNative(owner)) directory.setOwner(owner.uid, owner.gid);
    if (state === 'old' || !this.#modeIsNative(wanted)) directory.setMode(wanted);
    const mtime = settle(directory, entry.mtime);
    if (state === 'old') {
      for (const name of flistxattr(directory.fd)) {
        if (isOurs(Buffer.from(name).toString('latin1'))) fremovexattr(directory.fd, name, directory.path);
      }
      directory.setDefaultAcl(undefined);
    }
    const set = this.#setXattrs(entry, (xattr) => {
      if (xattr.name === DEFAULT_ACL) directory.setDefaultAcl(xattr.value);
      else fsetxattr(directory.fd, nameBytes(xattr), xattr.value, directory.path);
    });
    if (set.length === 0) return lineOf(entry.mode, owner, mtime, '');
    const later = set.filter((xattr) => xattr.name === DEFAULT_ACL);
    // An access ACL decides the group's bits of the mode. The setgid bit is applied when the directory is released.
    const mode = (statFd(directory.fd).mode & 0o5777) | (entry.mode & S.ISGID);
    return lineOf(mode, owner, mtime, hashXattrs([...readXattrs(directory.fd), ...later]));
  }

  /** Sets the metadata of a symbolic link or FIFO that was just made as `name` in `dirfd`. */
  node(dirfd: number, name: Uint8Array, entry: LayerEntry): LineAttributes {
    const owner = this.owner(entry);
    if (this.#recordOnly) {
      utimesAt(dirfd, name, entry.mtime);
      return this.#recorded(entry, owner);
    }
    this.own?.count(entry, owner);
    if (!this.#isNative(owner)) chownAt(dirfd, name, owner.uid, owner.gid);
    if (entry.kind === 'fifo' && !this.#modeIsNative(entry.mode)) chmodAt(dirfd, name, entry.mode);
    const set = this.#setXattrs(entry, (xattr) =>
      lsetxattr(fdPath(dirfd, name), nameBytes(xattr), xattr.value),
    );
    utimesAt(dirfd, name, entry.mtime);
    const mode = entry.kind === 'fifo' ? entry.mode : 0o777;
    if (set.length === 0 && isSafe(entry.mtime)) return lineOf(mode, owner, entry.mtime, '');
    return observed(statAt(dirfd, name), hashXattrs(set));
  }

  /** Sets the metadata of a directory that has no entry so far. */
  implied(directory: Directory, mtime: Timespec): void {
    const { mode, uid, gid } = this.impliedAttributes(directory.path, mtime);
    if (!this.#recordOnly && !this.#isNative({ uid, gid })) directory.setOwner(uid, gid);
    if (!this.#modeIsNative(mode)) directory.setMode(mode);
    directory.setTime(mtime);
  }

  impliedAttributes(path: string, mtime: Timespec): LineAttributes {
    return lineOf(0o755, this.owner({ name: path, uid: 0, gid: 0 }), mtime, '');
  }

  /** The mode for mkdir(2) of a directory that gets `mode` later. */
  modeOfNew(mode: number): number {
    const isOpen = this.#recordOnly || this.own !== undefined;
    return isOpen ? (mode & 0o777) | OWN_DIRECTORY : mode & 0o777;
  }

  /** The attributes of the entry, which its file does not have. Extended attributes are lost, and counted. */
  #recorded(entry: LayerEntry, owner: Owner): LineAttributes {
    this.droppedXattrs += entry.xattrs.length + entry.foreignXattrs;
    return lineOf(entry.kind === 'symlink' ? 0o777 : entry.mode, owner, entry.mtime, '');
  }

  #isNative({ uid, gid }: Owner): boolean {
    return uid === this.#native.uid && gid === this.#native.gid;
  }

  /** Returns true when open(2) and mkdir(2) already give exactly this mode. */
  #modeIsNative(mode: number): boolean {
    return (mode & 0o7777 & ~this.#native.mode) === 0;
  }

  /** Returns the attributes that were set. */
  #setXattrs(entry: LayerEntry, set: (xattr: Xattr) => void): readonly Xattr[] {
    const chosen = chooseXattrs(entry, this.#mappings);
    this.droppedXattrs += chosen.dropped;
    return chosen.set.filter((xattr) => {
      try {
        set(xattr);
        return true;
      } catch (error) {
        this.#refused(entry, xattr, error);
        return false;
      }
    });
  }

  /**
   * Handles an attribute that the kernel refused. `user.*` on links and FIFOs is EPERM (xattr(7)), and some filesystems
   * have no `user.*` at all: such an attribute is dropped. A capability or ACL that cannot be set would change the
   * permissions of a file, so it is an error.
   */
  #refused(entry: LayerEntry, { name }: Xattr, error: unknown): void {
    const user = name.startsWith('user.');
    if (this.own !== undefined && name === CAPABILITY && hasCode(error, 'EPERM')) {
      this.own.capabilities += 1;
      return;
    }
    if (user && hasCode(error, 'EPERM', 'EOPNOTSUPP')) this.droppedXattrs += 1;
    else if (hasCode(error, 'EOPNOTSUPP')) throw badXattr(entry, name, 'the filesystem cannot keep it');
    else if (hasCode(error, 'EINVAL', 'ERANGE', 'E2BIG'))
      throw badXattr(entry, name, 'the kernel refuses it');
    else throw error;
  }
}

function lineOf(mode: number, owner: Owner, mtime: Timespec, xattrs: string): LineAttributes {
  return { mode, uid: owner.uid, gid: owner.gid, mtime, xattrs };
}

export function observed(stat: Stat, xattrs: string): LineAttributes {
  return { mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, xattrs };
}

/** Sets a directory's time, and returns the time that the filesystem will keep. */
function settle(directory: Directory, wanted: Timespec): Timespec {
  let mtime = wanted;
  if (!isSafe(wanted)) {
    futimes(directory.fd, wanted, directory.path);
    mtime = statFd(directory.fd).mtime;
  }
  directory.setTime(mtime);
  return mtime;
}

function isSafe({ sec }: Timespec): boolean {
  return sec >= -SAFE_SECONDS && sec <= SAFE_SECONDS;
}

/** The attributes of an open file, among those that a layer may set. */
export function readXattrs(fd: number): Xattr[] {
  const found: Xattr[] = [];
  for (const name of flistxattr(fd)) {
    const text = Buffer.from(name).toString('latin1');
    if (!isOurs(text)) continue;
    const value = fgetxattr(fd, name);
    if (value !== undefined) found.push({ name: text as Xattr['name'], value });
  }
  return found;
}

/** Turns the kernel's error about a name into an error about the entry. */
export function asLayerError(error: unknown, entry: string): unknown {
  if (hasCode(error, 'ELOOP')) return new PluginError('LAYER_LINK_LOOP', { entry }, { cause: error });
  if (hasCode(error, 'ENAMETOOLONG')) {
    return new PluginError('LAYER_NAME_TOO_LONG', { entry, limit: 255 }, { cause: error });
  }
  return error;
}
