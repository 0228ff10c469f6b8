import { hasCode, SysError } from '../kernel/errno.ts';
import {
  close,
  fchmod,
  fsync,
  openAt,
  openDir,
  RENAME_NOREPLACE,
  renameAt,
  syncfs,
  unlinkAt,
  writeAll,
} from '../kernel/files.ts';
import { AT_FDCWD, cpath, moreLibc, mutate, O } from '../kernel/libc.ts';
import { lastName, parentOf } from './path.ts';
import { temporaryPath } from './temporary.ts';

/**
 * State on disk changes in three steps: stage, sync, publish (rename). So a name that exists is complete. After a
 * crash, unfinished files have a temporary name (`temporary.ts`) or no name at all.
 */

/**
 * Publishes a staged directory: syncs everything written to the filesystem so far, renames the directory to its final
 * name, and syncs the rename. A rename alone may reach the disk before the content of the files does; a power cut then
 * leaves empty files in a layer that looks complete (containers/storage#1064 and others). Both paths are on one
 * filesystem. Returns false, and leaves `staged` alone, when `final` exists already.
 * @throws SysError
 */
export function publishDirectory(staged: string, final: string): boolean {
  const parent = openDir(parentOf(final));
  try {
    if (exists(parent, lastName(final))) return false;
    syncfs(parent, parentOf(final));
    if (!renamedInto(staged, parent, final)) return false;
    fsync(parent, parentOf(final));
    return true;
  } finally {
    close(parent);
  }
}

/**
 * As `publishDirectory`, for a place where an empty directory may be: rename(2) puts the new directory in its place in
 * one step. Returns false, and leaves `staged` alone, when anything else has the name.
 * @throws SysError; EBUSY where `final` is a mount point
 */
export function publishOverEmpty(staged: string, final: string): boolean {
  const parent = openDir(parentOf(final));
  try {
    syncfs(parent, parentOf(final));
    renameAt(AT_FDCWD, staged, parent, lastName(final));
    fsync(parent, parentOf(final));
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST', 'ENOTEMPTY', 'ENOTDIR')) return false;
    throw error;
  } finally {
    close(parent);
  }
}

/** As `publishDirectory` without any sync: for directories that need not outlive a power cut. */
export function publishQuickly(staged: string, final: string): boolean {
  return renamedInto(staged, AT_FDCWD, final);
}

/** RENAME_NOREPLACE, because a plain rename(2) replaces an empty directory without an error (measured). */
function renamedInto(staged: string, parent: number, final: string): boolean {
  const name = parent === AT_FDCWD ? final : lastName(final);
  try {
    renameAt(AT_FDCWD, staged, parent, name, RENAME_NOREPLACE);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function exists(dirFd: number, name: string): boolean {
  try {
    close(openAt(dirFd, name, O.PATH | O.NOFOLLOW));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Replaces or makes a file. A power cut before the return leaves the old file or the new one; after the return the new
 * one survives. @throws SysError
 */
export function writeFileDurable(path: string, bytes: Uint8Array, mode: number): void {
  replace(path, bytes, mode, true);
  const parent = openDir(parentOf(path));
  try {
    fsync(parent, parentOf(path));
  } finally {
    close(parent);
  }
}

/**
 * Replaces or makes a file in one step, without waiting for the disk. Readers see the old file or the new one; a power
 * cut may leave an empty one. @throws SysError
 */
export function replaceFile(path: string, bytes: Uint8Array, mode: number): void {
  replace(path, bytes, mode, false);
}

function replace(path: string, bytes: Uint8Array, mode: number, sync: boolean): void {
  const temporary = writeTemporary(parentOf(path), bytes, mode, sync);
  try {
    renameAt(AT_FDCWD, temporary, AT_FDCWD, path);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

/**
 * Makes a file that appears with all of its content, or not at all. Returns false when the name is taken. A crash
 * leaves nothing where the filesystem has nameless files (O_TMPFILE). @throws SysError
 */
export function createExclusive(path: string, bytes: Uint8Array, mode: number): boolean {
  const fd = openNameless(parentOf(path), mode);
  if (fd === undefined) return createByLink(path, bytes, mode);
  try {
    writeAll(fd, bytes, path);
    fchmod(fd, mode, path);
    return linkNew(`/proc/self/fd/${fd}`, path);
  } finally {
    close(fd);
  }
}

function createByLink(path: string, bytes: Uint8Array, mode: number): boolean {
  const temporary = writeTemporary(parentOf(path), bytes, mode, false);
  try {
    return linkNew(temporary, path);
  } finally {
    discard(temporary);
  }
}

/** linkat(2) that follows the link `from`: this is how a nameless file gets its name (open(2), O_TMPFILE). */
function linkNew(from: string, to: string): boolean {
  try {
    mutate('linkat', to, () =>
      moreLibc().linkat(AT_FDCWD, cpath(from), AT_FDCWD, cpath(to), AT_SYMLINK_FOLLOW),
    );
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}
const AT_SYMLINK_FOLLOW = 0x400;

function openNameless(directory: string, mode: number): number | undefined {
  try {
    return openAt(AT_FDCWD, directory, O.TMPFILE | O.WRONLY, mode);
  } catch (error) {
    // EISDIR: this kernel or filesystem ignores O_TMPFILE and sees only O_DIRECTORY (open(2)).
    if (hasCode(error, 'EOPNOTSUPP', 'EISDIR', 'EINVAL')) return undefined;
    throw error;
  }
}

/** Writes all of `bytes` to a new file under a temporary name in `directory`. */
function writeTemporary(directory: string, bytes: Uint8Array, mode: number, sync: boolean): string {
  const { path, fd } = openTemporary(directory, mode);
  try {
    writeAll(fd, bytes, path);
    // The umask took bits away from the mode of the open.
    fchmod(fd, mode, path);
    if (sync) fsync(fd, path);
    return path;
  } catch (error) {
    discard(path);
    throw error;
  } finally {
    close(fd);
  }
}

function openTemporary(directory: string, mode: number): { path: string; fd: number } {
  for (;;) {
    const path = temporaryPath(directory);
    try {
      return { path, fd: openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode) };
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
}

/**
 * Removes a staged name after an error, and ignores failures, which matter less than that error: the name is temporary,
 * so a later sweep removes it.
 */
function discard(path: string): void {
  try {
    unlinkAt(AT_FDCWD, path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
