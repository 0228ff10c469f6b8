import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { anchorTree } from '../../sys/kernel/anchor.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { statFd } from '../../sys/kernel/stat.ts';
import { type Layout, STORE_DIRECTORIES } from './layout.ts';
import { whyNotRoots } from './roots-own.ts';

const FIXED: ReadonlySet<string> = new Set(STORE_DIRECTORIES);
const OPEN = O.PATH | O.DIRECTORY;
const INSIDE = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;

/**
 * Opens a store's directory. From then on, every path below it is resolved from this open directory, which was
 * checked to be writable by root alone (lib/sys/kernel/anchor.ts). Each subdirectory is opened and checked at its
 * first use; the check throws STORE_UNSAFE.
 * @param isMade whether the store is complete: a missing subdirectory is then STORE_INCOMPLETE, else ENOENT
 * @returns the error for the store's own directory, which is then not anchored; undefined when it is sound or does
 * not exist
 */
export function anchorStore(layout: Layout, isMade = false): PluginError | undefined {
  let root = -1;
  try {
    anchorTree({
      root: layout.root,
      fixed: FIXED,
      open: (directory) => {
        const fd = openChecked(layout, root, directory, isMade);
        if (directory === '') root = fd;
        return fd;
      },
    });
    return undefined;
  } catch (error) {
    if (isPluginError(error, 'STORE_UNSAFE')) return error;
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function openChecked(layout: Layout, root: number, directory: string, isMade: boolean): number {
  const path = directory === '' ? layout.root : `${layout.root}/${directory}`;
  const fd = directory === '' ? openAt(AT_FDCWD, path, OPEN) : openInside(layout, root, directory, isMade);
  try {
    const reason = whyNotRoots(statFd(fd));
    if (reason !== undefined) throw unsafe(layout, path, reason);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function openInside(layout: Layout, root: number, directory: string, isMade: boolean): number {
  const path = `${layout.root}/${directory}`;
  try {
    return openat2(root, directory, OPEN | O.NOFOLLOW, 0, INSIDE);
  } catch (error) {
    if (hasCode(error, 'ELOOP', 'ENOTDIR', 'EXDEV'))
      throw unsafe(layout, path, 'is not a directory of its own');
    // Without `meta` there is no store: the reader of the marker reports that.
    if (isMade && hasCode(error, 'ENOENT') && directory !== 'meta')
      throw new PluginError('STORE_INCOMPLETE', { store: layout.root, path });
    // The error names the full path: the name alone would not say in which directory it is.
    throw error instanceof SysError ? new SysError(error.errno, 'openat', path) : error;
  }
}

function unsafe(layout: Layout, path: string, reason: string): PluginError<'STORE_UNSAFE'> {
  return new PluginError('STORE_UNSAFE', { store: layout.root, path, reason });
}
