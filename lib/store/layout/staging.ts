import { lastName, parentOf } from '../../sys/files/path.ts';
import { removeUsedTree } from '../../sys/files/remove-used-tree.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import {
  close,
  mkdirAt,
  openAt,
  openDir,
  RENAME_NOREPLACE,
  renameAt,
  unlinkAt,
  writeAll,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import type { Layout } from './layout.ts';
import { newOwnerName, ownerIsAlive, ownerNameOf } from './owner-name.ts';

/**
 * Makes a path in tmp/ whose name contains the owner, so that a sweep can tell which files a dead process left.
 * Everything in the store is built in tmp/ and then renamed to its final path; everything to delete is first renamed
 * into tmp/.
 */
export function newStagePath(layout: Layout, what: string): string {
  return `${layout.tmp}/${newOwnerName()}~${what}`;
}

/** Makes an empty directory in tmp/ that only root can use. */
export function stageDirectory(layout: Layout, what: string): string {
  const path = newStagePath(layout, what);
  mkdirAt(AT_FDCWD, path, 0o700);
  return path;
}

/**
 * Writes a small file atomically, without waiting for the disk: first under a name in tmp/, then renamed to `path`.
 * After a failure no part of the file is left.
 */
export function replaceSmall(layout: Layout, path: string, what: string, bytes: Uint8Array): void {
  const staged = newStagePath(layout, what);
  const rename = () => renameAt(AT_FDCWD, staged, AT_FDCWD, path);
  try {
    writeSmall(staged, bytes);
    try {
      rename();
    } catch (error) {
      // A directory is at the file's path, where graft makes none. A rename cannot replace it, so it is deleted.
      if (!hasCode(error, 'EISDIR')) throw error;
      trash(layout, path);
      rename();
    }
  } catch (error) {
    discardStaged(staged);
    throw error;
  }
}

/** Writes a new file that only root can read, unless `mode` says otherwise. */
export function writeSmall(path: string, bytes: Uint8Array, mode = 0o600): void {
  const fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL, mode);
  try {
    writeAll(fd, bytes, path);
  } finally {
    close(fd);
  }
}

/**
 * Moves `path` into tmp/ and returns its new path; undefined when `path` did not exist. On a full disk the rename may
 * need a block that is not free; then `path` is not moved and is returned itself, so that it can be deleted in its
 * old place.
 */
export function moveAway(layout: Layout, path: string): string | undefined {
  const away = newStagePath(layout, 'trash');
  try {
    renameAt(AT_FDCWD, path, AT_FDCWD, away);
    return away;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (isFull(error)) return path;
    throw error;
  }
}

export function isFull(error: unknown): boolean {
  return hasCode(error, 'ENOSPC', 'EDQUOT');
}

/**
 * Moves `path` into tmp/, then deletes it. Returns false when `path` did not exist.
 * @throws SysError with the path of the file that cannot be removed
 */
export function trash(layout: Layout, path: string): boolean {
  const away = moveAway(layout, path);
  if (away !== undefined) removeStaged(away);
  return away !== undefined;
}

/**
 * Like `trash`, but moves the rest back to `path` when the deletion fails, so that a later clean finds it there.
 * @throws SysError with the path of the file that cannot be removed, after the move back
 */
export function trashOrPutBack(layout: Layout, path: string): boolean {
  const away = moveAway(layout, path);
  if (away === undefined) return false;
  try {
    removeStaged(away);
    return true;
  } catch (error) {
    throw putBack(away, path) ? movedError(error, away, path) : error;
  }
}

/** Undoes moveAway. Returns false when the rest stays in tmp/: the name is taken again, or the disk fails. */
export function putBack(away: string, path: string): boolean {
  if (away === path) return true;
  try {
    renameAt(AT_FDCWD, away, AT_FDCWD, path, RENAME_NOREPLACE);
    return true;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return false;
  }
}

/** Renames the path of an error from below `from` to below `to`; returns any other error unchanged. */
export function movedError(error: unknown, from: string, to: string): unknown {
  if (!(error instanceof SysError) || !(error.path === from || error.path.startsWith(`${from}/`)))
    return error;
  return new SysError(error.errno, error.syscall, to + error.path.slice(from.length), error.detail);
}

/**
 * Deletes a path in tmp/ after another error, which the caller reports. If this deletion fails too, the next sweep
 * deletes the path: its owner is dead as soon as this process ends.
 */
export function discardStaged(path: string): void {
  try {
    removeStaged(path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}

/** Removes a file of the store, or a directory at its path. Returns false when nothing is there. */
export function removeName(layout: Layout, path: string): boolean {
  try {
    unlinkAt(AT_FDCWD, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EISDIR')) return trash(layout, path);
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Deletes a path in tmp/, or the path that moveAway returned, of any depth. @throws SysError with an absolute path */
export function removeStaged(path: string): void {
  const above = parentOf(path);
  const parent = openDir(above);
  try {
    removeUsedTree(parent, lastName(path));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new SysError(error.errno, error.syscall, `${above}/${error.path}`, error.detail);
  } finally {
    close(parent);
  }
}

/** The paths in tmp/ that belong to no living process. */
export function abandoned(layout: Layout): string[] {
  return listNames(layout.tmp)
    .filter((file) => {
      const owner = ownerNameOf(file);
      return owner === undefined || !ownerIsAlive(owner);
    })
    .map((file) => `${layout.tmp}/${file}`);
}
