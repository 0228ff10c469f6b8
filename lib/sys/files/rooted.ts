/**
 * A tree that is written under names from outside. Directories are opened with openat2(2) below the root, or step by
 * step from an open directory, never through a symbolic link; this class reads the links itself and follows them inside
 * the root. Everything else uses `*at` calls on an open directory and one name, and creation is exclusive. So no name
 * and no order of entries reaches anything outside, whatever the tree holds at that moment.
 *
 * A link that leads out of the root by `..` or an absolute target stays inside, as for a program whose root directory
 * is this tree. At most 40 links are followed for one name, the kernel's own limit (path_resolution(7)).
 */
import { type ByteName, byteName } from '../../base/bytes.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { mkdirAt, openAt, openat2, openDir, RESOLVE, readlinkAt, unlinkAt } from '../kernel/files.ts';
import { O, type PathBytes } from '../kernel/libc.ts';
import { isDirectory, isSymlink, type Stat, statAt, statIfThere } from '../kernel/stat.ts';
import { Directory } from './directory.ts';
import { DirectoryCache } from './directory-cache.ts';
import { removeTree } from './remove-tree.ts';

const MAX_LINKS = 40;
const [ENOENT, ELOOP] = [2, 40];
/** PATH_MAX is 4096 with the NUL. Longer paths are opened in portions. */
const MAX_PORTION = 4000;
const OPEN = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
const INSIDE = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS;

/** Decisions and reports for the owner of the tree. Paths are below the root, without links in them. */
export interface TreeEvents {
  /**
   * Called when no directory is at `path`. Returns the target of the symbolic link to follow there, or undefined to
   * make the directory.
   */
  linkBelow(path: ByteName): Uint8Array | undefined;
  /** Returns true where a lower tree has something other than a directory or a link at `path`. */
  otherBelow?(path: ByteName): boolean;
  /** A missing directory was made. `over` is the name that stood there before and was removed. */
  implied(directory: Directory, over: Stat | undefined): void;
  /**
   * A name was removed to make room. For a removed tree, every directory in it is reported, but not the other names in
   * it.
   */
  removed(path: ByteName, kind: 'directory' | 'other'): void;
  /** Called for each name before a whole tree is removed, which may take long. Throws to stop. */
  removing?: (() => void) | undefined;
}

export interface Put<T> {
  readonly value: T;
  /** The name that was removed to make room. */
  readonly over: Stat | undefined;
}

export interface MadeDirectory {
  readonly directory: Directory;
  /** False when the directory existed already. */
  readonly made: boolean;
  /** The name that was removed to make room. */
  readonly over: Stat | undefined;
}

type Missing = 'make' | 'make-where-free' | 'leave';

export class RootedTree {
  readonly root: Directory;
  readonly #events: TreeEvents;
  readonly #cache: DirectoryCache;
  #followedBelow = false;

  /** @param path an existing directory, the root; no other code may write in it meanwhile */
  constructor(path: PathBytes, events: TreeEvents) {
    this.root = Directory.existing(openDir(path), '' as ByteName);
    this.#events = events;
    this.#cache = new DirectoryCache(this.root);
  }

  /** The directory at a clean path. Missing directories are made, and any other file on the way is replaced by one. */
  directory(path: string): Directory {
    const found = this.#cache.byName(path) ?? this.#walk(path, 'make');
    if (found === undefined) throw new SysError(ENOENT, 'openat', path);
    return found;
  }

  /** As `directory`, but undefined where something other than a directory is on the way. */
  directoryWhereFree(path: string): Directory | undefined {
    return this.#cache.byName(path) ?? this.#walk(path, 'make-where-free');
  }

  /** The directory at a clean path, or undefined where there is none. */
  find(path: string): Directory | undefined {
    return this.#cache.byName(path) ?? this.#walk(path, 'leave');
  }

  /** The directory with that name, without following a link. Undefined where the name is missing or no directory. */
  child(parent: Directory, name: string): Directory | undefined {
    const path = pathOf(parent, name);
    const known = this.#cache.byPath(path);
    if (known !== undefined) return known;
    const fd = openIf(() => openAt(parent.fd, Buffer.from(name, 'latin1'), OPEN));
    return fd === undefined ? undefined : this.#cache.add(Directory.existing(fd, path));
  }

  /**
   * Makes `name` by `create`, which must not replace anything (EEXIST). An existing `name` is removed first.
   * @returns the result of `create`, and the stat of the removed name
   */
  put<T>(parent: Directory, name: string, create: (fd: number, name: Uint8Array) => T): Put<T> {
    const bytes = Buffer.from(name, 'latin1');
    // Paths that led through a link of a lower tree are wrong once a new name covers that link.
    if (this.#followedBelow) this.#cache.forgetNames();
    try {
      return { value: create(parent.changingFd, bytes), over: undefined };
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    const over = this.remove(parent, name);
    return { value: create(parent.changingFd, bytes), over };
  }

  /** The directory with that name; a missing one is made. Anything else that has the name is removed. */
  make(parent: Directory, name: string, mode: number): MadeDirectory {
    const bytes = Buffer.from(name, 'latin1');
    try {
      mkdirAt(parent.changingFd, bytes, mode);
      return this.#made(parent, name, undefined);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    const directory = this.child(parent, name);
    if (directory !== undefined) return { directory, made: false, over: undefined };
    const over = this.remove(parent, name);
    mkdirAt(parent.changingFd, bytes, mode);
    return this.#made(parent, name, over);
  }

  #made(parent: Directory, name: string, over: Stat | undefined): MadeDirectory {
    if (this.#followedBelow) this.#cache.forgetNames();
    const fd = openAt(parent.fd, Buffer.from(name, 'latin1'), OPEN);
    return { directory: this.#cache.add(Directory.fresh(fd, pathOf(parent, name))), made: true, over };
  }

  /** Removes the name, with the whole tree if it is a directory, and returns its stat. */
  remove(parent: Directory, name: string): Stat {
    const bytes = Buffer.from(name, 'latin1');
    const stat = statAt(parent.fd, bytes);
    const path = pathOf(parent, name);
    if (isDirectory(stat)) {
      this.#cache.releaseTree(path);
      const removed = (below: string) =>
        this.#events.removed((below === '' ? path : `${path}/${below}`) as ByteName, 'directory');
      removeTree(parent.changingFd, bytes, { removed, before: this.#events.removing });
      return stat;
    }
    if (isSymlink(stat)) this.#cache.forgetNames();
    unlinkAt(parent.changingFd, bytes);
    this.#events.removed(path, 'other');
    return stat;
  }

  /** Applies the saved attributes of all open directories, and closes them. */
  finish(): void {
    this.#cache.releaseAll();
  }

  /** Blocks of 512 bytes that the directories take. Exact after `finish`, if nothing was removed. */
  get directoryBlocks(): number {
    return this.#cache.grownBlocks;
  }

  /** Closes all descriptors. For use after a failure: the tree is then incomplete. */
  abandon(): void {
    this.#cache.abandonAll();
  }

  /** Goes from the nearest known directory downwards, link by link. */
  #walk(path: string, missing: Missing): Directory | undefined {
    let [at, rest] = this.#nearest(path);
    let links = 0;
    let stepUntil = Number.POSITIVE_INFINITY;
    while (rest !== '') {
      const portion = rest.length <= stepUntil ? portionOf(rest) : '';
      const further = portion === '' ? undefined : this.#openPortion(at, portion);
      if (further !== undefined) {
        [at, rest] = [further, rest.slice(portion.length + 1)];
        continue;
      }
      // A portion that holds a link is opened step by step: trying openat2(2) again after each step would take
      // quadratic time.
      if (portion !== '') stepUntil = rest.length - portion.length;
      const [name, after] = cutFirst(rest);
      const next = this.#step(at, name, missing);
      if (next === undefined) return undefined;
      if (next instanceof Directory) {
        [at, rest] = [next, after];
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) throw new SysError(ELOOP, 'openat', path);
      stepUntil = Number.POSITIVE_INFINITY;
      if (next.link.startsWith('/')) at = this.root;
      rest = `${next.link}/${after}`;
    }
    this.#cache.addName(path, at);
    return at;
  }

  #nearest(path: string): [Directory, string] {
    let cut = path.length;
    for (let levels = 0; levels < MAX_LINKS; levels += 1) {
      cut = path.lastIndexOf('/', cut - 1);
      if (cut <= 0) break;
      const known = this.#cache.byName(path.slice(0, cut));
      if (known !== undefined) return [known, path.slice(cut + 1)];
    }
    return [this.root, path];
  }

  #openPortion(at: Directory, portion: string): Directory | undefined {
    const path = pathOf(at, portion);
    const known = this.#cache.byPath(path);
    if (known !== undefined) return known;
    const fd = openIf(() => openat2(at.fd, Buffer.from(portion, 'latin1'), OPEN, 0, INSIDE));
    return fd === undefined ? undefined : this.#cache.add(Directory.existing(fd, path));
  }

  #step(at: Directory, name: string, missing: Missing): Directory | { readonly link: ByteName } | undefined {
    if (name === '' || name === '.') return at;
    if (name === '..') return this.directory(at.path.slice(0, Math.max(0, at.path.lastIndexOf('/'))));
    const there = this.child(at, name);
    if (there !== undefined) return there;
    const bytes = Buffer.from(name, 'latin1');
    const stat = statIfThere(at.fd, bytes);
    if (stat !== undefined && isSymlink(stat)) return { link: byteName(readlinkAt(at.fd, bytes)) };
    const below = stat === undefined ? this.#events.linkBelow(pathOf(at, name)) : undefined;
    if (below !== undefined) {
      this.#followedBelow = true;
      return { link: byteName(below) };
    }
    if (missing === 'leave') return undefined;
    const taken = stat !== undefined || this.#events.otherBelow?.(pathOf(at, name)) === true;
    if (missing === 'make-where-free' && taken) return undefined;
    const { directory, over } = this.make(at, name, 0o755);
    this.#events.implied(directory, over);
    return directory;
  }
}

function pathOf(parent: Directory, name: string): ByteName {
  return (parent.path === '' ? name : `${parent.path}/${name}`) as ByteName;
}

function cutFirst(path: string): [string, string] {
  const cut = path.indexOf('/');
  return cut < 0 ? [path, ''] : [path.slice(0, cut), path.slice(cut + 1)];
}

/** Several components to open in one call. `''` where one step is as good, or where `.` and `..` need care. */
function portionOf(rest: string): string {
  const portion = rest.length <= MAX_PORTION ? rest : rest.slice(0, rest.lastIndexOf('/', MAX_PORTION));
  return !portion.includes('/') || /(^|\/)\.{0,2}(\/|$)/.test(portion) ? '' : portion;
}

/**
 * Returns undefined for the errors that mean "no directory". ENOTDIR: a file, or a link with O_NOFOLLOW and
 * O_DIRECTORY. ELOOP: a link in the middle.
 */
function openIf(open: () => number): number | undefined {
  try {
    return open();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}
