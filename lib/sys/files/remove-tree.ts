/**
 * Removal of a tree by descriptor, also of a hostile one: deeper than PATH_MAX, or with more names than memory holds.
 * The removal follows no links, enters no mounts, uses no paths, and keeps at most MAX_OPEN descriptors and MAX_LEVELS
 * names. A container may nest as many directories as its limit has blocks, a million and more.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { printable } from '../../base/text.ts';
import { type Dirent, DirentReader, DT } from '../kernel/dirents.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import {
  close,
  openAt,
  openat2,
  RENAME_NOREPLACE,
  RESOLVE,
  renameAt,
  rmdirAt,
  unlinkAt,
} from '../kernel/files.ts';
import { O, type PathBytes } from '../kernel/libc.ts';
import { statFd } from '../kernel/stat.ts';

/** Levels of a tree whose directories stay open. A deeper walk comes back up through `..`. */
const MAX_OPEN = 32;
/** Most levels in memory, about a kilobyte each. Deeper directories are first moved up to the top of the tree. */
const MAX_LEVELS = 4096;
const ENOTEMPTY = 39;
const DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
/**
 * A mount in a tree is no part of the tree. rmdir(2) of a mount point usually fails with EBUSY. With these flags
 * openat2(2) fails with EXDEV where the mount appeared a moment ago.
 */
const SAME_MOUNT = RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;

/** Called for every removed directory with its path below the removed name (`''` is that name itself). */
type RemovedDirectory = (path: string) => void;

export interface RemovalOptions {
  readonly removed?: RemovedDirectory | undefined;
  /** Called for each name inside before its removal; throws to stop. */
  readonly before?: (() => void) | undefined;
  /**
   * True where processes may make names in the tree: a directory in which more names appear than its size has room for
   * ends the removal with ENOTEMPTY. A listing never ends while a process fills the directory faster than it is emptied.
   */
  readonly inUse?: boolean | undefined;
}

/**
 * So many names are taken from any directory that is in use. Beyond that its size in bytes is the bound: in each of XFS,
 * ext4, btrfs and tmpfs a name takes more than one byte of the size of its directory.
 */
const NAMES_IN_USE = 16_384;

class Level {
  readonly name: ByteName;
  readonly #ino: bigint;
  /** So many names may come from the listing. */
  #left: number;
  #fd: number | undefined;
  /** The listing goes on where it stopped: starting again after each child would take quadratic time. */
  #entries: DirentReader | undefined;

  constructor(dirfd: number, name: PathBytes, shown: ByteName, inUse = false) {
    this.name = shown;
    this.#fd = openat2(dirfd, name, DIRECTORY, 0, SAME_MOUNT);
    const { ino, size } = statFd(this.#fd);
    this.#ino = ino;
    this.#left = inUse ? Math.max(size, NAMES_IN_USE) : Number.POSITIVE_INFINITY;
  }

  get fd(): number {
    if (this.#fd === undefined) throw new Error('a closed directory was used');
    return this.#fd;
  }

  next(): Dirent | undefined {
    this.#entries ??= new DirentReader(this.fd, '');
    this.#left -= 1;
    if (this.#left < 0) throw new SysError(ENOTEMPTY, 'getdents64', '');
    return this.#entries.next();
  }

  close(): void {
    if (this.#fd !== undefined) close(this.#fd);
    this.#fd = undefined;
    this.#entries = undefined;
  }

  /**
   * Opens the directory again, as the parent of `child`. A directory that another process moves away in between must
   * not lead the removal out of the tree, so the inode number must show that `..` is still the same directory. The
   * listing starts again at its beginning; this costs nothing, since the names read before are removed by now.
   */
  reopenFrom(child: Level): void {
    if (this.#fd !== undefined) return;
    const parent = openAt(child.fd, '..', DIRECTORY);
    this.#fd = parent;
    if (statFd(parent).ino !== this.#ino) throw new SysError(116, 'openat', '..');
  }
}

/**
 * Removes `name` in the directory `dirfd`, with everything below. A missing name is no error. The removal is not
 * atomic: after a crash, a second call removes the rest.
 * @throws SysError for any error except that a name is already gone; its path starts with `name`
 */
export function removeTree(dirfd: number, name: PathBytes, options: RemovalOptions = {}): void {
  const { removed } = options;
  // rmdir(2) removes an empty directory at once, and refuses a mount point before the directory is opened.
  if (removeSimple(dirfd, name)) return;
  if (removeEmpty(dirfd, name)) {
    removed?.('');
    return;
  }
  const levels = [new Level(dirfd, name, '' as ByteName, options.inUse)];
  try {
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const child = emptyOut(level, levels, options);
      if (child === undefined) leave(levels, dirfd, name, removed);
      else if (levels.length < MAX_LEVELS || removed !== undefined || !moveUp(level, child, dirfd, name)) {
        levels.push(child);
        levels.at(-1 - MAX_OPEN)?.close();
      }
    }
  } catch (error) {
    throw error instanceof SysError ? located(error, name, levels) : error;
  } finally {
    for (const level of levels) level.close();
  }
}

/** The error with a path from `name` on, so that a reader finds the file: a system call has only the last name. */
function located(error: SysError, name: PathBytes, levels: readonly Level[]): SysError {
  const above = levels.slice(1).map((level) => printable(bytesOf(level.name)));
  // When no level is left, the removal of `name` itself failed.
  const path = [printable(name), ...above, ...(levels.length > 0 ? [error.path] : [])].join('/');
  return new SysError(error.errno, error.syscall, path, error.detail);
}

/**
 * Unlinks everything that is not a directory and removes empty directories. Opens and returns the first directory that
 * is not empty.
 */
function emptyOut(
  level: Level,
  levels: readonly Level[],
  { removed, before, inUse }: RemovalOptions,
): Level | undefined {
  for (let entry = level.next(); entry !== undefined; entry = level.next()) {
    before?.();
    const bytes = bytesOf(entry.name);
    if (entry.type !== DT.DIR && removeSimple(level.fd, bytes)) continue;
    if (!removeEmpty(level.fd, bytes)) return new Level(level.fd, bytes, entry.name, inUse);
    removed?.(pathOf(levels, entry.name));
  }
  return undefined;
}

/**
 * Moves `child` of the deepest level to the top of the tree. The walk finds it there later, since it lists the top
 * again when it comes back. Returns false where the kernel refuses the move (a project quota with another id).
 */
function moveUp(level: Level, child: Level, dirfd: number, name: PathBytes): boolean {
  const top = openAt(dirfd, name, DIRECTORY);
  try {
    renameAt(level.fd, bytesOf(child.name), top, `moved-${crypto.randomUUID()}`, RENAME_NOREPLACE);
    child.close();
    return true;
  } catch (error) {
    if (hasCode(error, 'EXDEV')) return false;
    throw error;
  } finally {
    close(top);
  }
}

/** Removes the emptied deepest level. */
function leave(levels: Level[], dirfd: number, name: PathBytes, removed?: RemovedDirectory): void {
  const level = levels.pop();
  if (level === undefined) return;
  try {
    const above = levels.at(-1);
    above?.reopenFrom(level);
    const [parent, shown] = above === undefined ? [dirfd, name] : [above.fd, bytesOf(level.name)];
    // Another process makes names in the directory.
    if (!removeEmpty(parent, shown)) throw new SysError(ENOTEMPTY, 'unlinkat', printable(shown));
    removed?.(above === undefined ? '' : pathOf(levels, level.name));
  } finally {
    level.close();
  }
}

/** Returns true when the name is gone now, false when it is a directory. */
function removeSimple(dirfd: number, name: PathBytes): boolean {
  try {
    unlinkAt(dirfd, name);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    if (hasCode(error, 'EISDIR')) return false;
    throw error;
  }
}

function removeEmpty(dirfd: number, name: PathBytes): boolean {
  try {
    rmdirAt(dirfd, name);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOTEMPTY', 'EEXIST')) return false;
    if (hasCode(error, 'ENOENT')) return true;
    throw error;
  }
}

/** The path of `name` in the deepest level, below the removed tree. */
function pathOf(levels: readonly Level[], name: ByteName): string {
  return [...levels.slice(1).map((level) => level.name), name].join('/');
}
