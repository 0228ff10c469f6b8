/** Checks the path of a store before any change there, and refuses a path that graft must not use. */
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { parentOf } from '../../sys/files/path.ts';
import { isTemporaryName } from '../../sys/files/temporary.ts';
import { readDirents } from '../../sys/kernel/dirents.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { exists, lookIfThere } from '../../sys/kernel/look.ts';
import { isDirectory, isSymlink, type Stat } from '../../sys/kernel/stat.ts';
import { utf8 } from '../../sys/kernel/utf8.ts';
import { whyNoMarker } from '../layout/format.ts';
import { type Layout, STORE_DIRECTORIES } from '../layout/layout.ts';
import { whyNotRoots } from '../layout/roots-own.ts';

/** `half made`: an init-store was killed there before it renamed `meta`, so the store holds no data. */
export type Site = 'absent' | 'empty' | 'half made' | 'store';

/**
 * Finds out which kind of site the store's path is. Changes nothing, not even access times.
 * @throws STORE_BAD_PATH, and STORE_FOREIGN for a path that is neither free nor a store of graft
 */
export function siteOf(layout: Layout): Site {
  refuseWay(layout);
  const stat = lookIfThere(layout.root);
  if (stat === undefined) return 'absent';
  if (isSymlink(stat)) throw refused(layout, `it is a symbolic link; ${GIVE_TARGET}`);
  if (!isDirectory(stat)) throw refused(layout, 'it is not a directory');
  if (exists(layout.marker)) return 'store';
  const names = namesIn(layout.root);
  if (isWithoutMarkerOnly(layout, names)) return 'store';
  const why = whyNoMarker(layout);
  if (why.code === 'STORE_FOREIGN') throw why;
  const notOurs = whyNotRoots(stat);
  if (notOurs !== undefined) throw refused(layout, `it ${notOurs}`);
  if (names.length === 0) return 'empty';
  if (isHalfMade(layout, names)) return 'half made';
  throw refused(
    layout,
    `it is not empty (${printable(names[0] ?? '')}); give an empty directory, or one to be made`,
  );
}

const GIVE_TARGET = 'give the path that it leads to';

/**
 * Refuses a path that another user could redirect. Every parent directory must belong to root. If others can write in
 * one, it must be sticky: there only root can remove or rename root's files (inode(7)).
 */
function refuseWay(layout: Layout): void {
  for (const path of ancestorsOf(layout.root)) {
    const stat = lookIfThere(path);
    if (stat === undefined) return;
    if (isSymlink(stat)) throw refused(layout, `${path} is a symbolic link; ${GIVE_TARGET}`);
    if (!isDirectory(stat)) throw refused(layout, `${path} is not a directory; choose a path below one`);
    const reason = whyOthersReplace(stat);
    if (reason !== undefined)
      throw refused(layout, `${path} ${reason}; choose a path that only root can change`);
  }
}

const STICKY = 0o1000;
const GROUP_WRITES = 0o020;

function whyOthersReplace(stat: Stat): string | undefined {
  const reason = whyNotRoots(stat.gid === 0 ? { ...stat, mode: stat.mode & ~GROUP_WRITES } : stat);
  return stat.uid === 0 && (stat.mode & STICKY) !== 0 ? undefined : reason;
}

/** The parent directories of `path`, beginning with `/`. */
function ancestorsOf(path: string): string[] {
  const parent = parentOf(path);
  return parent === '/' ? ['/'] : [...ancestorsOf(parent), parent];
}

/** True for the remains of a killed init-store: its stage, and empty directories of a store. */
function isHalfMade(layout: Layout, names: readonly string[]): boolean {
  if (!names.some(isTemporaryName)) return false;
  return names.every((name) => {
    const path = `${layout.root}/${name}`;
    if (!isRootsDirectory(path)) return false;
    return isTemporaryName(name) || (TOPS.has(name) && namesIn(path).length === 0);
  });
}

/** True for a store of which only the marker is missing. Only graft makes all of these directories. */
function isWithoutMarkerOnly({ root }: Layout, names: readonly string[]): boolean {
  if (!names.every((name) => TOPS.has(name))) return false;
  return STORE_DIRECTORIES.every((name) => isRootsDirectory(`${root}/${name}`));
}

const TOPS: ReadonlySet<string> = new Set(STORE_DIRECTORIES.filter((name) => !name.includes('/')));

function isRootsDirectory(path: string): boolean {
  const stat = lookIfThere(path);
  return stat !== undefined && isDirectory(stat) && whyNotRoots(stat) === undefined;
}

function namesIn(path: string): string[] {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.NOATIME);
  try {
    return readDirents(fd, path).map(({ name }) => utf8(name));
  } finally {
    close(fd);
  }
}

export function refused(layout: Layout, reason: string): PluginError<'STORE_BAD_PATH'> {
  return new PluginError('STORE_BAD_PATH', { store: layout.root, reason });
}
