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
 * State on disk changes by stage, sync, publish. A name that exists is complete; what a crash leaves is
 * under a temporary name (`temporary.ts`) or under none at all.
 */

/**
 * Publishes a staged directory: everything written to the filesystem so far is synced, then one rename gives
 * it its name, then the rename is synced. Rename alone may reach the disk before the files' content does, and a
 * power cut then leaves empty files in a layer that looks complete (containers/storage#1064 and others).
 * Both paths are on one filesystem. Returns false, and leaves `staged` alone, when `final` exists already.
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

/** The same without any sync: for directories that need not outlive a power cut. */
export function publishQuickly(staged: string, final: string): boolean {
  return renamedInto(staged, AT_FDCWD, final);
}

/** A plain rename replaces an empty directory without a word (measured), hence RENAME_NOREPLACE. */
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

/** Replaces or makes a file: after the return it survives a power cut, before it the old one does. @throws SysError */
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
 * Replaces or makes a file in one step, without waiting for the disk: readers see the old or the new one, a
 * power cut may leave an empty one. @throws SysError
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
 * Makes a file that appears with all of its content, or not at all. Returns false when the name is taken.
 * Where the filesystem has nameless files (O_TMPFILE) a crash leaves nothing. @throws SysError
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

/** Follows `from`, which is what gives a nameless file its name (open(2), O_TMPFILE). */
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
    // EISDIR: a kernel or filesystem that takes O_TMPFILE for O_DIRECTORY (open(2)).
    if (hasCode(error, 'EOPNOTSUPP', 'EISDIR', 'EINVAL')) return undefined;
    throw error;
  }
}

/** A new file with all of `bytes` beside the final one. */
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

/** After an error that matters more: what cannot be removed now is under a temporary name. */
function discard(path: string): void {
  try {
    unlinkAt(AT_FDCWD, path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
