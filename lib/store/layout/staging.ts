import { lastName, parentOf } from '../../sys/files/path.ts';
import { removeUsedTree } from '../../sys/files/remove-used-tree.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { close, mkdirAt, openAt, openDir, renameAt, unlinkAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import type { Layout } from './layout.ts';
import { newOwnerName, ownerIsAlive, ownerNameOf } from './owner-name.ts';

/**
 * Places in tmp/, named after their owner, so that a sweep can tell rubbish from work. Everything in the
 * store is built here and renamed to where it belongs, and everything to be deleted is renamed here first.
 */
export function newStagePath(layout: Layout, what: string): string {
  return `${layout.tmp}/${newOwnerName()}~${what}`;
}

/** An empty directory of ours, closed to everybody else. */
export function stageDirectory(layout: Layout, what: string): string {
  const path = newStagePath(layout, what);
  mkdirAt(AT_FDCWD, path, 0o700);
  return path;
}

/**
 * Writes a small file in one step, without waiting for the disk: under a name in tmp/ first, then renamed to
 * `path`. Where it fails nothing of it is left.
 */
export function replaceSmall(layout: Layout, path: string, what: string, bytes: Uint8Array): void {
  const staged = newStagePath(layout, what);
  const rename = () => renameAt(AT_FDCWD, staged, AT_FDCWD, path);
  try {
    writeSmall(staged, bytes);
    try {
      rename();
    } catch (error) {
      // A directory where graft makes none: it cannot be replaced, and keeps nobody from working.
      if (!hasCode(error, 'EISDIR')) throw error;
      trash(layout, path);
      rename();
    }
  } catch (error) {
    discardStaged(staged);
    throw error;
  }
}

/** A new file that only root reads, unless `mode` says otherwise. */
export function writeSmall(path: string, bytes: Uint8Array, mode = 0o600): void {
  const fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL, mode);
  try {
    writeAll(fd, bytes, path);
  } finally {
    close(fd);
  }
}

/**
 * Moves `path` into tmp/ and returns where it is now; undefined when it was gone already. On a full disk, which may
 * have no room for the name, it stays where it is: deleting must be possible then.
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

/** Moves `path` out of the way, then deletes it. Returns false when it was gone already. */
export function trash(layout: Layout, path: string): boolean {
  const away = moveAway(layout, path);
  if (away !== undefined) removeStaged(away);
  return away !== undefined;
}

/**
 * Deletes a place in tmp/ after something else has failed, which matters more: what cannot be removed now
 * belongs to a dead owner as soon as this process ends, and the next sweep removes it.
 */
export function discardStaged(path: string): void {
  try {
    removeStaged(path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}

/** Removes a file of the store, or whatever stands in its place. Returns false when there is nothing. */
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

/** Deletes a place in tmp/, or wherever moveAway left it, however deep it is. */
export function removeStaged(path: string): void {
  const parent = openDir(parentOf(path));
  try {
    removeUsedTree(parent, lastName(path));
  } finally {
    close(parent);
  }
}

/** What lies in tmp/ and belongs to nobody alive. */
export function abandoned(layout: Layout): string[] {
  return listNames(layout.tmp)
    .filter((file) => {
      const owner = ownerNameOf(file);
      return owner === undefined || !ownerIsAlive(owner);
    })
    .map((file) => `${layout.tmp}/${file}`);
}
