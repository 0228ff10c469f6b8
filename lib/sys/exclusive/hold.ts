import { parentOf } from '../files/path.ts';
import { temporaryOwner, temporaryPath } from '../files/temporary.ts';
import { readDirents } from '../kernel/dirents.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { close, mkdirAt, mknodAt, openDir, renameAt, rmdirAt, unlinkAt, utimesAt } from '../kernel/files.ts';
import { AT_FDCWD } from '../kernel/libc.ts';
import { isDirectoryAt, listNames } from '../kernel/look.ts';
import { formatOwner, livenessOf, type Owner, owner, parseOwner } from '../kernel/process.ts';
import { isDirectory, S, statIfThere } from '../kernel/stat.ts';

/**
 * A hold: a path that one process at a time holds. Locks and claims are made of holds.
 *
 *     <path>/<pid>.<start>.<pid namespace>.<boot id>.<n>     a directory, and in it one empty file, the entry
 *
 * - The directory appears by rename(2) with its entry inside, so even a holder that is killed at any moment has left
 *   its name. A path without a directory, or with an empty one, is free: rename(2) replaces an empty directory.
 * - A process takes over from a dead holder by renaming the entry from the dead holder's name to its own. If several
 *   processes saw the holder dead, only one of them still finds the old name. (If they removed the directory by its
 *   path instead, the slower of two could remove the directory that the faster has just made; proper-lockfile does
 *   that, moxystudio/node-proper-lockfile#121.)
 * - A release removes the holder's entry by its name, then the directory if it is empty.
 *
 * A living holder keeps its hold, however slow it is. Some holders cannot be seen in /proc: those of another pid
 * namespace, such as the container that Garden ran in before its restart. Such a holder keeps its hold while the time
 * of its entry is fresh; `refresh` sets that time.
 */
export interface Hold {
  readonly path: string;
  readonly entry: string;
}

export interface HeldBy {
  /** Undefined when the entry's name was not made by graft. */
  readonly heldBy: Owner | undefined;
}

/** If /proc cannot tell whether a holder is alive, the holder counts as dead after this time without a refresh. */
export const HOLD_STALE_MS = 30_000;

/**
 * Each repetition means that another process made progress. So many repetitions in a row mean that the filesystem is at
 * fault.
 */
const MAX_LAPS = 1000;

/** Takes the hold at `path`, or returns the process that has it. Never waits. @throws SysError */
export function tryHold(path: string): Hold | HeldBy {
  const entry = `${formatOwner(owner())}.${Math.floor(Math.random() * 2 ** 40).toString(36)}`;
  for (let lap = 0; lap < MAX_LAPS; lap += 1) {
    const found = look(path);
    if (found === undefined) {
      if (publish(path, entry)) return { path, entry };
    } else if (!found.gone) {
      return { heldBy: found.holder };
    } else if (renamed(`${path}/${found.entry}`, `${path}/${entry}`)) {
      refresh({ path, entry });
      return { path, entry };
    }
  }
  throw new SysError(EBUSY, 'rename', path);
}
const EBUSY = 16;

/** The holder of `path`. `free`: there is no holder. `dead`: the holder ended without a release. */
export function lookAtHold(path: string): HeldBy | 'free' | 'dead' {
  const found = look(path);
  if (found === undefined) return 'free';
  return found.gone ? 'dead' : { heldBy: found.holder };
}

/**
 * Sets the time of the entry, to show that the holder works. Returns false when another process took the hold over.
 * @throws SysError
 */
export function refresh(hold: Hold): boolean {
  const now = Date.now();
  try {
    utimesAt(AT_FDCWD, `${hold.path}/${hold.entry}`, {
      sec: Math.floor(now / 1000),
      nsec: (now % 1000) * 1e6,
    });
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Gives the hold up. Does nothing when another process took it over. @throws SysError */
export function release(hold: Hold): void {
  try {
    unlinkAt(AT_FDCWD, `${hold.path}/${hold.entry}`);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  try {
    rmdirAt(AT_FDCWD, hold.path);
  } catch (error) {
    // Another process took the empty directory in between.
    if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

interface Found {
  readonly entry: string;
  readonly holder: Owner | undefined;
  readonly gone: boolean;
}

function look(path: string): Found | undefined {
  const all = entriesOf(path).map((entry) => judge(path, entry));
  return all.find((found) => !found.gone) ?? all[0];
}

/**
 * The names in the directory. The list is empty when the directory does not exist or was removed: getdents64(2) of a
 * removed directory fails with ENOENT too.
 */
function entriesOf(path: string): string[] {
  let fd = -1;
  try {
    fd = openDir(path);
    return readDirents(fd, path).map(({ name }) => name);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  } finally {
    if (fd >= 0) close(fd);
  }
}

function judge(path: string, entry: string): Found {
  const holder = ownerOfEntry(entry);
  return { entry, holder, gone: isGone(holder, `${path}/${entry}`) };
}

function ownerOfEntry(entry: string): Owner | undefined {
  return parseOwner(entry.slice(0, Math.max(0, entry.lastIndexOf('.'))));
}

/** `sign` is the path whose time the holder keeps fresh. */
function isGone(holder: Owner | undefined, sign: string): boolean {
  const life = holder ? livenessOf(holder) : 'unknown';
  return life === 'unknown' ? isStale(sign) : life === 'dead';
}

function isStale(path: string): boolean {
  const mtime = statIfThere(AT_FDCWD, path)?.mtime;
  return mtime === undefined || Date.now() - (mtime.sec * 1000 + mtime.nsec / 1e6) > HOLD_STALE_MS;
}

/** Returns false when another process was faster. */
function publish(path: string, entry: string): boolean {
  const staged = temporaryPath(parentOf(path), entry);
  mkdirAt(AT_FDCWD, staged, 0o700);
  let published = false;
  try {
    mknodAt(AT_FDCWD, `${staged}/${entry}`, S.IFREG | 0o600);
    published = renamed(staged, path);
  } finally {
    if (!published) removeHold(staged, entry);
  }
  return published;
}

/**
 * Removes from a directory of holds what killed processes left: staged directories and, with `places`, dead holds
 * themselves, which perhaps no process asks for again. Holds of living processes stay. Returns the number of removed
 * names.
 * @throws SysError
 */
export function sweepHolds(directory: string, places: boolean): number {
  let count = 0;
  for (const name of listNames(directory)) {
    const path = `${directory}/${name}`;
    const entry = temporaryOwner(name);
    if (entry !== undefined) {
      // Other programs may have made names beside a store, and such a name may be a symbolic link.
      if (!isOwnDirectory(path) || !isGone(ownerOfEntry(entry), path)) continue;
      removeHold(path, entry);
      count += 1;
    } else if (places && isDirectoryAt(path)) {
      const tried = tryHold(path);
      if (!('entry' in tried)) continue;
      release(tried);
      count += 1;
    }
  }
  return count;
}

/** A directory of root or of this process's user: other users may make names beside it. */
function isOwnDirectory(path: string): boolean {
  const stat = statIfThere(AT_FDCWD, path);
  return stat !== undefined && isDirectory(stat) && (stat.uid === 0 || stat.uid === process.geteuid?.());
}

function removeHold(path: string, entry: string): void {
  for (const remove of [() => unlinkAt(AT_FDCWD, `${path}/${entry}`), () => rmdirAt(AT_FDCWD, path)]) {
    try {
      remove();
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
}

function renamed(from: string, to: string): boolean {
  try {
    renameAt(AT_FDCWD, from, AT_FDCWD, to);
    return true;
  } catch (error) {
    // ENOENT: the old name is gone, so another process has taken over.
    if (hasCode(error, 'ENOENT', 'EEXIST', 'ENOTEMPTY')) return false;
    throw error;
  }
}
