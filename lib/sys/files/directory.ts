/**
 * An open directory of a tree that is being written. Two of its attributes conflict with making files in it. They are
 * taken off before the first such file and applied when the directory is released:
 *
 *  - the modification time, which changes with every name made inside;
 *  - the setgid bit and a default ACL, which new files would inherit (inode(7), acl(5)).
 *
 * The disk holds the state of released directories, so memory holds only the open ones, whatever the size of the tree.
 */
import type { ByteName } from '../../base/bytes.ts';
import { type Dirent, DirentReader } from '../kernel/dirents.ts';
import { close, fchmod, fchown, fsetxattr, futimes, openAt, type Timespec } from '../kernel/files.ts';
import { O } from '../kernel/libc.ts';
import { S, statFd } from '../kernel/stat.ts';
import { fgetxattr, fremovexattr } from '../kernel/xattr.ts';

export const DEFAULT_ACL = 'system.posix_acl_default';

export class Directory {
  /** Path below the root of the tree, without symbolic links in it; `''` is the root. */
  readonly path: ByteName;
  /** Paths under which the tree's cache has this directory. */
  readonly aliases: string[] = [];
  #fd: number;
  #pins = 0;
  #prepared: boolean;
  #mtime: Timespec | undefined;
  #laterSetgid = false;
  #laterAcl: Uint8Array | undefined;
  /** Size in blocks of 512 bytes before the first change. */
  #blocks = 0;

  private constructor(fd: number, path: ByteName, prepared: boolean) {
    this.#fd = fd;
    this.path = path;
    this.#prepared = prepared;
  }

  /** A directory that mkdirat(2) has just made below a directory of ours. There are no attributes to save. */
  static fresh(fd: number, path: ByteName): Directory {
    return new Directory(fd, path, true);
  }

  static existing(fd: number, path: ByteName): Directory {
    return new Directory(fd, path, false);
  }

  /**
   * The descriptor for calls that change nothing. @throws Error when the directory was released: the kernel may have
   * given the same number to another file.
   */
  get fd(): number {
    if (this.#fd < 0) throw new Error('a released directory was used');
    return this.#fd;
  }

  /** The descriptor for making, changing and removing names inside. */
  get changingFd(): number {
    if (!this.#prepared) this.#putAside();
    return this.fd;
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** All names inside, read through a second descriptor, since the directory may be released in between. */
  *entries(): Generator<Dirent> {
    const fd = openAt(this.fd, '.', O.RDONLY | O.DIRECTORY);
    try {
      const reader = new DirentReader(fd, this.path);
      for (let entry = reader.next(); entry !== undefined; entry = reader.next()) yield entry;
    } finally {
      close(fd);
    }
  }

  /** Runs `use` while the directory cannot be released. */
  hold<T>(use: () => T): T {
    this.#pins += 1;
    try {
      return use();
    } finally {
      this.#pins -= 1;
    }
  }

  setOwner(uid: number, gid: number): void {
    fchown(this.fd, uid, gid, this.path);
  }

  /** Sets the permission bits with setuid, setgid and sticky. The setgid bit is applied at the release. */
  setMode(mode: number): void {
    if (!this.#prepared) this.#putAside();
    this.#laterSetgid = (mode & S.ISGID) !== 0;
    fchmod(this.fd, mode & ~S.ISGID, this.path);
  }

  setTime(mtime: Timespec): void {
    if (!this.#prepared) this.#putAside();
    this.#mtime = mtime;
  }

  setDefaultAcl(value: Uint8Array | undefined): void {
    if (!this.#prepared) this.#putAside();
    this.#laterAcl = value;
  }

  /**
   * Applies the saved attributes and closes the directory, also after an error.
   * @returns by how many blocks of 512 bytes the directory has grown
   */
  release(): number {
    const fd = this.fd;
    try {
      // The other bits are those of now: an ACL that was set meanwhile has changed them, and they would change the ACL.
      if (this.#laterSetgid) fchmod(fd, (statFd(fd).mode & 0o7777) | S.ISGID, this.path);
      if (this.#laterAcl !== undefined) fsetxattr(fd, DEFAULT_ACL, this.#laterAcl, this.path);
      if (this.#mtime !== undefined) futimes(fd, this.#mtime, this.path);
      return this.#prepared ? statFd(fd).blocks - this.#blocks : 0;
    } finally {
      this.abandon();
    }
  }

  /** Closes without applying anything: the caller is going to remove the tree. */
  abandon(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }

  #putAside(): void {
    const { mode, mtime, blocks } = statFd(this.fd);
    this.#prepared = true;
    this.#blocks = blocks;
    this.#mtime = mtime;
    if ((mode & S.ISGID) !== 0) this.setMode(mode & 0o7777);
    this.#laterAcl = fgetxattr(this.fd, DEFAULT_ACL);
    if (this.#laterAcl !== undefined) fremovexattr(this.fd, DEFAULT_ACL);
  }
}
