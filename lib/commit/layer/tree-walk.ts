/**
 * Walks a tree that a hostile process may change at the same time. Names are reached by descriptor, one component at a
 * time, and no link is followed. Each name is opened with O_PATH once, and everything else is asked of that descriptor: a
 * name that becomes another file in between changes nothing. Opening a name with O_PATH has no effect on a device or pipe.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { DirentReader } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { isDirectory, type Stat, statFd } from '../../sys/kernel/stat.ts';

/** Levels of the tree whose directories stay open. The walk comes back to higher ones through `..`. */
const MAX_OPEN = 64;
/** Names of all open levels in memory, about 100 bytes each. A directory of an honest container has far fewer. */
const MAX_NAMES = 4_000_000;
/** The longest path in bytes that graft unpacks (lib/layer/tar/entry-name.ts). */
const MAX_PATH = 32 * 1024;

export interface TreeName {
  /** Below the root of the tree; `''` is the root itself. */
  readonly path: ByteName;
  readonly name: ByteName;
  /** Opened with O_PATH. The walk closes it when the caller asks for the next name. */
  readonly fd: number;
  readonly stat: Stat;
}

class Level {
  readonly path: ByteName;
  readonly names: readonly ByteName[];
  readonly #ino: bigint;
  #next = 0;
  #fd: number | undefined;

  /** @param held number of names that other levels hold */
  constructor(path: ByteName, pathFd: number, held: number) {
    this.path = path;
    this.#fd = openAt(pathFd, '.', O.RDONLY | O.DIRECTORY);
    try {
      this.#ino = statFd(this.#fd).ino;
      this.names = sortedNames(this.#fd, path, MAX_NAMES - held);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get fd(): number {
    if (this.#fd === undefined) throw new Error('a closed directory was used');
    return this.#fd;
  }

  next(): ByteName | undefined {
    const name = this.names[this.#next];
    this.#next += 1;
    return name;
  }

  close(): void {
    if (this.#fd !== undefined) close(this.#fd);
    this.#fd = undefined;
  }

  /**
   * Opens the directory again, as the parent of `child`. Its inode number must be the same: another process may have
   * moved `child` elsewhere.
   * @throws COMMIT_CHANGED
   */
  reopenFrom(child: Level): void {
    if (this.#fd !== undefined) return;
    const fd = openAt(child.fd, '..', O.RDONLY | O.DIRECTORY);
    this.#fd = fd;
    if (statFd(fd).ino !== this.#ino) throw changed(child.path);
  }
}

/** All names of an open directory, sorted by their bytes. */
function sortedNames(fd: number, path: ByteName, most: number): ByteName[] {
  const names: ByteName[] = [];
  const reader = new DirentReader(fd, path);
  for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
    if (names.length === most)
      throw new PluginError('COMMIT_TOO_LARGE', { what: 'names in its directories', limit: MAX_NAMES });
    names.push(entry.name);
  }
  return names.sort();
}

/**
 * Every name of the tree: parents before their children, names of a directory in the order of their bytes. A name that
 * vanishes during the walk is left out.
 * @param root a descriptor of the root, which stays open
 * @throws COMMIT_CHANGED where another process moved a directory that is being walked; COMMIT_TOO_LARGE; COMMIT_ENTRY
 *   for a path that is too long; SysError EXDEV at a mount inside the tree
 */
export function* walkTree(root: number): Generator<TreeName> {
  const rootFd = openAt(root, '.', O.PATH | O.DIRECTORY);
  let held = 0;
  const levels: Level[] = [];
  const enter = (path: ByteName, fd: number) => {
    const level = new Level(path, fd, held);
    held += level.names.length;
    levels.push(level);
    levels.at(-1 - MAX_OPEN)?.close();
  };
  try {
    yield { path: '' as ByteName, name: '' as ByteName, fd: rootFd, stat: statFd(rootFd) };
    enter('' as ByteName, rootFd);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.next();
      if (name === undefined) {
        held -= level.names.length;
        levels.at(-2)?.reopenFrom(level);
        levels.pop();
        level.close();
        continue;
      }
      yield* visit(level, name, enter);
    }
  } finally {
    close(rootFd);
    for (const level of levels) level.close();
  }
}

function* visit(
  level: Level,
  name: ByteName,
  enter: (path: ByteName, fd: number) => void,
): Generator<TreeName> {
  const path = (level.path === '' ? name : `${level.path}/${name}`) as ByteName;
  if (path.length > MAX_PATH) throw tooDeep(path);
  const fd = openName(level.fd, name);
  if (fd === undefined) return;
  try {
    const stat = statFd(fd);
    yield { path, name, fd, stat };
    if (isDirectory(stat)) enter(path, fd);
  } finally {
    close(fd);
  }
}

/** Undefined for a name that is gone. */
function openName(dirfd: number, name: ByteName): number | undefined {
  try {
    return openat2(dirfd, bytesOf(name), O.PATH | O.NOFOLLOW, 0, RESOLVE.NO_XDEV);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function tooDeep(path: ByteName): PluginError {
  return new PluginError('COMMIT_ENTRY', { path: shownPath(path), reason: 'long-path' });
}

export function changed(path: ByteName): PluginError {
  return new PluginError('COMMIT_CHANGED', { path: shownPath(path) });
}

/** Size, modification and change of an open file as one value, which differs after every write(2). */
export function changeOf(fd: number): string {
  const { size, mtime, ctime } = statFd(fd);
  return `${size} ${mtime.sec}.${mtime.nsec} ${ctime.sec}.${ctime.nsec}`;
}

/** A path of the container for errors. */
export function shownPath(path: ByteName): string {
  return `/${printable(bytesOf(path))}`;
}
