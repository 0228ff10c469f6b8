/** Looking at the store without `node:fs`, whose first use costs a short verb 0.9 ms (measured; see read.ts). */

import { readDirents } from './dirents.ts';
import { hasCode } from './errno.ts';
import { close, openAt } from './files.ts';
import { AT_FDCWD, O } from './libc.ts';
import { readOwnFile } from './read.ts';
import { type Stat, statIfThere } from './stat.ts';
import { utf8 } from './utf8.ts';

/** Is there anything of this name? A dangling link counts. */
export function exists(path: string): boolean {
  return lookIfThere(path) !== undefined;
}

/** What has this name, never what a link leads to; undefined where nothing has. */
export function lookIfThere(path: string): Stat | undefined {
  try {
    return statIfThere(AT_FDCWD, path);
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** A directory, or a link that leads to one. */
export function isDirectoryAt(path: string): boolean {
  try {
    close(openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** The names in a directory, in the filesystem's order; names that are not UTF-8 are none of the store's. */
export function listNames(path: string): string[] {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY);
  try {
    return readDirents(fd, path).map(({ name }) => utf8(name));
  } finally {
    close(fd);
  }
}

/** A file of ours (`readOwnFile`) as UTF-8; undefined when there is none. @param limit in bytes. @throws SysError */
export function readTextIfThere(path: string, limit: number): string | undefined {
  try {
    return new TextDecoder().decode(readOwnFile(path, limit));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
