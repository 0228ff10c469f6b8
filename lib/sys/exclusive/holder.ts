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
 * A place that one process holds at a time: the ground under locks and claims.
 *
 *     <path>/<pid>.<start>.<pid namespace>.<boot id>.<n>     a directory, and in it one empty file
 *
 * - The directory appears by rename with its entry inside, so a holder killed at any moment has left its name.
 *   No directory, or an empty one, is free; rename(2) replaces an empty one.
 * - Taking over from a dead holder renames the entry from its name to ours: of all who saw it dead, one
 *   finds the old name still there. (Removing the directory by its path instead would let the slower of two remove
 *   what the faster has just made; proper-lockfile does that, moxystudio/node-proper-lockfile#121.)
 * - Releasing removes our entry, by name, then the directory if it is empty.
 *
 * Who is alive keeps its place however slow it is. Who cannot be judged (another pid namespace: the
 * container that Garden ran in before its restart) keeps it while the entry's time is fresh; `refresh` does that.
 */
export interface Hold {
  readonly path: string;
  readonly entry: string;
}

export interface HeldBy {
  /** Undefined when the entry is not a name that graft makes. */
  readonly heldBy: Owner | undefined;
}

/** A holder that cannot be judged otherwise is dead after this long without a refresh. */
export const HOLD_STALE_MS = 30_000;

/** Every lap means that somebody else made progress; so many in a row mean a filesystem that does not. */
const MAX_LAPS = 1000;

/** Takes the place, or says who has it. Never waits. @throws SysError */
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

/** Who holds `path` now. Nobody does who could still be working: it is free, or its holder died without a release. */
export function holderOf(path: string): HeldBy | 'free' | 'dead' {
  const found = look(path);
  if (found === undefined) return 'free';
  return found.gone ? 'dead' : { heldBy: found.holder };
}

/** Shows that the holder is at work. Returns false when the place was taken over. @throws SysError */
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

/** Gives the place up; nothing happens when it was taken over. @throws SysError */
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
    // Somebody took the empty directory in between.
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

/** None when there is no such directory, or none any more: getdents64(2) of a removed one is ENOENT too. */
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

/** `sign` is what the holder keeps fresh. */
function isGone(holder: Owner | undefined, sign: string): boolean {
  const life = holder ? livenessOf(holder) : 'unknown';
  return life === 'unknown' ? isStale(sign) : life === 'dead';
}

function isStale(path: string): boolean {
  const mtime = statIfThere(AT_FDCWD, path)?.mtime;
  return mtime === undefined || Date.now() - (mtime.sec * 1000 + mtime.nsec / 1e6) > HOLD_STALE_MS;
}

/** Returns false when somebody else was faster. */
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
 * Removes what killed processes left in a directory of places: stages, and with `places` the places themselves,
 * which nobody may want again. Whatever a living process has stays. Returns how many went. @throws SysError
 */
export function sweepHolds(directory: string, places: boolean): number {
  let count = 0;
  for (const name of listNames(directory)) {
    const path = `${directory}/${name}`;
    const entry = temporaryOwner(name);
    if (entry !== undefined) {
      // Beside a store others may have made names: one of theirs may be a link.
      if (!isRootsDirectory(path) || !isGone(ownerOfEntry(entry), path)) continue;
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

function isRootsDirectory(path: string): boolean {
  const stat = statIfThere(AT_FDCWD, path);
  return stat !== undefined && isDirectory(stat) && stat.uid === 0;
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
    // ENOENT: the old name is gone, so somebody else has taken over.
    if (hasCode(error, 'ENOENT', 'EEXIST', 'ENOTEMPTY')) return false;
    throw error;
  }
}
