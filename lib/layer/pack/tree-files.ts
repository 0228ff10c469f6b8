/**
 * The part of `node:fs` that tar-fs packs with, for one tree below a descriptor. Names are bytes, one character for each,
 * where node's own functions decode them as UTF-8. No name leads out of the tree, and no link is followed.
 *
 * tar-fs knows files with content, directories and references (`symlink`). A FIFO, a whiteout and the further names of a
 * file with hard links are told to it as references too, since they have no content either; `last` says what they are.
 */
import { Readable } from 'node:stream';
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { KiB } from '../../base/limits.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { chmodAt, close, fdPath, lgetxattr, llistxattr, openAt, readlinkAt } from '../../sys/kernel/files.ts';
import { check, libc, O } from '../../sys/kernel/libc.ts';
import { isDirectory, isSymlink, isWhiteout, S, type Stat, statAt } from '../../sys/kernel/stat.ts';
import type { Xattr } from '../tar/entry.ts';
import { splitName } from '../tar/entry-name.ts';
import type { WrittenEntry } from '../tar/write-header.ts';
import { isOurs } from '../tree/xattrs.ts';

/** The directory that tar-fs is told to pack. Its paths start with it. */
export const VIRTUAL_ROOT = '/tree';
const CHUNK = 256 * KiB;
const [ENOENT, EIO] = [2, 5];
const NEVER = { linkBelow: () => undefined, implied() {}, removed() {} };

/** How a name is written: `skipped` are sockets and devices. */
export type Member = (WrittenEntry & MemberFacts) | 'skipped';

interface MemberFacts {
  readonly isWhiteout: boolean;
  /** True for the first name of a file that has several. */
  readonly isShared: boolean;
}

/** The part of a stat that tar-fs reads. `mtime` has no meaning here: the writer takes the times of the member. */
interface StatForTarFs {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: Date;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isFile(): boolean;
  isSocket(): boolean;
}

type Callback<T> = (error: unknown, value?: T) => void;

export class TreeFiles {
  /** The member that tar-fs asked for last: it packs one after the other. */
  last: Member = 'skipped';
  readonly #tree: RootedTree;
  readonly #hasXattrs: boolean;
  /** Types of the names in the directory that was listed last (readdir(3)). */
  readonly #types = new Map<string, number>();
  /** The first names of files with several. */
  readonly #firstNames = new Map<string, ByteName>();

  /** @param hasXattrs false leaves extended attributes out: those of a CernVM-FS client are its own */
  constructor(root: string, hasXattrs: boolean) {
    this.#tree = new RootedTree(root, NEVER);
    this.#hasXattrs = hasXattrs;
  }

  close(): void {
    this.#tree.abandon();
  }

  readonly lstat = (path: string, done: Callback<StatForTarFs>): void => {
    answer(done, () => {
      const { directory, name, below } = this.#find(path);
      const stat = statAt(directory.fd, name);
      this.last = this.#member(below, stat, directory, name);
      return statOf(this.last, stat);
    });
  };

  readonly readdir = (path: string, done: Callback<string[]>): void => {
    answer(done, () => {
      const directory = this.#tree.find(belowRoot(path));
      if (directory === undefined) throw new SysError(ENOENT, 'openat', path);
      this.#types.clear();
      for (const { name, type } of directory.entries()) this.#types.set(name, type);
      return [...this.#types.keys()];
    });
  };

  /** True for a directory in the directory that was listed last. */
  isDirectory(path: string): boolean {
    const type = this.#types.get(path.slice(path.lastIndexOf('/') + 1));
    if (type !== undefined && type !== DT.UNKNOWN) return type === DT.DIR;
    const { directory, name } = this.#find(path);
    return isDirectory(statAt(directory.fd, name));
  }

  readonly readlink = (_path: string, done: Callback<string>): void => {
    done(null, this.last === 'skipped' ? '' : this.last.target);
  };

  /** Opens a file of the tree. @throws SysError */
  open(path: string): number {
    const { directory, name } = this.#find(path);
    return openReadable(directory.fd, name);
  }

  /** The content of the last member. @throws SysError EIO through the stream where the file has another size by now */
  readonly createReadStream = (path: string): Readable => {
    try {
      return this.#contentOf(this.open(path), path);
    } catch (error) {
      // tar-fs expects no exception here.
      return new Readable({ read() {} }).destroy(error as Error);
    }
  };

  #contentOf(fd: number, path: string): Readable {
    const wanted = this.last === 'skipped' ? 0 : this.last.size;
    let read = 0;
    return new Readable({
      highWaterMark: CHUNK,
      read() {
        // A new buffer each time: the one before may still be on its way.
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, wanted - read)));
        try {
          const length = check(Number(libc.read(fd, chunk, chunk.length)), 'read', path);
          read += length;
          if (length > 0 && read > wanted) throw new SysError(EIO, 'read', path, 'the file has grown');
          if (length === 0 && read < wanted) throw new SysError(EIO, 'read', path, 'the file has shrunk');
          this.push(length === 0 ? null : chunk.subarray(0, length));
        } catch (error) {
          this.destroy(error as Error);
        }
      },
      destroy(error, done) {
        close(fd);
        done(error);
      },
    });
  }

  #find(path: string): { directory: Directory; name: Uint8Array; below: ByteName } {
    const below = belowRoot(path);
    const [parent, name] = splitName(below);
    const directory = this.#tree.find(parent);
    if (directory === undefined) throw new SysError(ENOENT, 'openat', path);
    return { directory, name: below === '' ? Buffer.from('.') : bytesOf(name as ByteName), below };
  }

  #member(path: ByteName, stat: Stat, directory: Directory, name: Uint8Array): Member {
    const common = {
      path,
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      mtime: stat.mtime,
      xattrs: [],
      size: 0,
      target: '' as ByteName,
      isWhiteout: false,
      isShared: !isDirectory(stat) && stat.nlink > 1,
    };
    if (isWhiteout(stat)) return { ...common, kind: 'file', mode: 0o644, isWhiteout: true };
    const first = isDirectory(stat) ? undefined : this.#firstName(path, stat);
    if (first !== undefined) return { ...common, kind: 'hardlink', target: first };
    if (isSymlink(stat)) {
      const target = Buffer.from(readlinkAt(directory.fd, name)).toString('latin1') as ByteName;
      return { ...common, kind: 'symlink', mode: 0o777, target };
    }
    if ((stat.mode & S.IFMT) === S.IFIFO) return { ...common, kind: 'fifo' };
    const xattrs = this.#xattrs(directory, name);
    if (isDirectory(stat)) return { ...common, kind: 'directory', xattrs };
    if ((stat.mode & S.IFMT) === S.IFREG) return { ...common, kind: 'file', xattrs, size: stat.size };
    return 'skipped';
  }

  /** Undefined for a file with one name, and for the first name of a file. */
  #firstName(path: ByteName, { nlink, ino, devMajor, devMinor }: Stat): ByteName | undefined {
    if (nlink < 2) return undefined;
    const inode = `${devMajor}:${devMinor}:${ino}`;
    const first = this.#firstNames.get(inode);
    if (first === undefined) this.#firstNames.set(inode, path);
    return first;
  }

  #xattrs(directory: Directory, name: Uint8Array): readonly Xattr[] {
    if (!this.#hasXattrs) return [];
    const at = fdPath(directory.fd, name);
    const found: Xattr[] = [];
    for (const raw of llistxattr(at)) {
      const text = Buffer.from(raw).toString('latin1') as ByteName;
      const value = isOurs(text) ? lgetxattr(at, raw) : undefined;
      if (value !== undefined) found.push({ name: text, value });
    }
    return found;
  }
}

/** A file that its owner may not read is made readable for the moment of open(2): only root reads it without that. */
function openReadable(dirfd: number, name: Uint8Array): number {
  const open = () => openAt(dirfd, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    return open();
  } catch (error) {
    if (!hasCode(error, 'EACCES')) throw error;
  }
  const { mode } = statAt(dirfd, name);
  chmodAt(dirfd, name, (mode & 0o7777) | 0o400);
  try {
    return open();
  } finally {
    chmodAt(dirfd, name, mode & 0o7777);
  }
}

function belowRoot(path: string): ByteName {
  return path.slice(VIRTUAL_ROOT.length + 1) as ByteName;
}

function answer<T>(done: Callback<T>, work: () => T): void {
  let value: T;
  try {
    value = work();
  } catch (error) {
    done(error);
    return;
  }
  done(null, value);
}

function statOf(member: Member, { mode, uid, gid }: Stat): StatForTarFs {
  const kind = member === 'skipped' ? 'skipped' : member.kind;
  const isContent = member !== 'skipped' && kind === 'file' && !member.isWhiteout;
  const size = member === 'skipped' ? 0 : member.size;
  return {
    mode,
    uid,
    gid,
    size,
    mtime: NO_TIME,
    isDirectory: () => kind === 'directory',
    isFile: () => isContent,
    isSymbolicLink: () => kind !== 'directory' && kind !== 'skipped' && !isContent,
    isSocket: () => kind === 'skipped',
  };
}
const NO_TIME = new Date(0);
