/**
 * Read-only access to the store without `node:fs`, whose first use costs a short verb 0.9 ms (measured; see read.ts).
 */

import { readDirents } from './dirents.ts';
import { hasCode } from './errno.ts';
import { close, openAt } from './files.ts';
import { AT_FDCWD, O } from './libc.ts';
import { readOwnFile } from './read.ts';
import { type Stat, statIfThere } from './stat.ts';
import { utf8 } from './utf8.ts';

/** Returns true when the name exists. A dangling link counts. */
export function exists(path: string): boolean {
  return lookIfThere(path) !== undefined;
}

/** The stat of the name itself, never of a link's target. Undefined when the name does not exist. */
export function lookIfThere(path: string): Stat | undefined {
  try {
    return statIfThere(AT_FDCWD, path);
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Returns true for a directory, or a link that leads to one. */
export function isDirectoryAt(path: string): boolean {
  try {
    close(openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** The names in a directory, in the filesystem's order. Names that are not UTF-8 are left out: the store makes none. */
export function listNames(path: string): string[] {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY);
  try {
    return readDirents(fd, path).map(({ name }) => utf8(name));
  } finally {
    close(fd);
  }
}

/**
 * A file that only graft writes (`readOwnFile`), as UTF-8. Undefined when the file does not exist.
 * @param limit in bytes
 * @throws SysError
 */
export function readTextIfThere(path: string, limit: number): string | undefined {
  try {
    return new TextDecoder().decode(readOwnFile(path, limit));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
