/** Makes the directories of a store, or checks that they are as they should be. */

import type { Undo } from '../../base/undo.ts';
import { writeFileDurable } from '../../sys/files/durable.ts';
import { removeTree } from '../../sys/files/remove-tree.ts';
import { isTemporaryName, temporaryPath } from '../../sys/files/temporary.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import {
  chmodAt,
  chownAt,
  close,
  fsync,
  mkdirAt,
  openDir,
  RENAME_NOREPLACE,
  renameAt,
  rmdirAt,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { statAt } from '../../sys/kernel/stat.ts';
import { encodeFormat, rootOwner, type StoreFormat } from '../layout/format.ts';
import { type Layout, STORE_DIRECTORIES } from '../layout/layout.ts';
import { type Ids, isPassable, letPass, shut } from '../layout/passage.ts';

type Name = (typeof STORE_DIRECTORIES)[number];

const TOPS = STORE_DIRECTORIES.filter((name) => !name.includes('/') && name !== 'meta');
const IN_META = STORE_DIRECTORIES.filter((name) => name.startsWith('meta/')).map((name) => name.slice(5));

/**
 * Makes a store in an empty directory, or where an init-store was killed. `meta` is staged first, under a temporary
 * name, and renamed last, with the marker in it. So the stage tells the remains of a killed init-store from an
 * operator's own directories.
 */
export function makeDirectories(layout: Layout, format: StoreFormat, undo: Undo): void {
  const { root } = layout;
  const owner = rootOwner(format.mappings);
  const before = statAt(AT_FDCWD, root);
  undo.add(() => {
    chownAt(AT_FDCWD, root, before.uid, before.gid);
    chmodAt(AT_FDCWD, root, before.mode & 0o7777);
  });
  letPass(root, owner);
  removeStages(root);
  const stage = temporaryPath(root);
  undo.add(() => removeBelow(root, stage.slice(root.length + 1)));
  mkdirAt(AT_FDCWD, stage, 0o700);
  for (const name of IN_META) mkdirAt(AT_FDCWD, `${stage}/${name}`, 0o700);
  const bytes = encodeFormat(format);
  const files = [layout.marker, layout.markerCopy].map((path) => path.slice(layout.meta.length));
  for (const name of files) writeFileDurable(`${stage}${name}`, bytes, 0o600);
  for (const name of TOPS) {
    if (makeOne(`${root}/${name}`)) undo.add(() => rmdirAt(AT_FDCWD, `${root}/${name}`));
    permit(layout, name, owner);
  }
  renameAt(AT_FDCWD, stage, AT_FDCWD, layout.meta, RENAME_NOREPLACE);
  undo.add(() => removeBelow(root, 'meta'));
  syncNames(root);
}

/**
 * Makes the missing directories of an existing store.
 * @throws STORE_UNSAFE when others than root can change one of them
 */
export function mendDirectories(layout: Layout, format: StoreFormat): void {
  const owner = rootOwner(format.mappings);
  letPass(layout.root, owner);
  for (const name of STORE_DIRECTORIES) {
    makeOne(`${layout.root}/${name}`);
    permit(layout, name, owner);
  }
}

/**
 * Checks each directory by opening it through the anchored store, and changes nothing.
 * @throws STORE_UNSAFE; STORE_INCOMPLETE of an opened store
 */
export function lookAtDirectories(layout: Layout): void {
  for (const name of STORE_DIRECTORIES) exists(`${layout.root}/${name}`);
}

function permit(layout: Layout, name: Name, owner: Ids): void {
  const path = `${layout.root}/${name}`;
  if (name === 'images') letPass(path, owner);
  // A create with `--without-mount` may have opened the directory to the mapped root, and runc may be about to mount.
  else if (!MOUNTED_FROM.has(name) || !isPassable(path, owner)) shut(path);
}
const MOUNTED_FROM: ReadonlySet<string> = new Set(['volumes', 'l']);

/** Returns false when the directory existed. */
function makeOne(path: string): boolean {
  try {
    mkdirAt(AT_FDCWD, path, 0o700);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function removeStages(root: string): void {
  for (const name of listNames(root)) if (isTemporaryName(name)) removeBelow(root, name);
}

function removeBelow(directory: string, name: string): void {
  const fd = openDir(directory);
  try {
    removeTree(fd, name);
  } finally {
    close(fd);
  }
}

function syncNames(root: string): void {
  const fd = openDir(root);
  try {
    fsync(fd, root);
  } finally {
    close(fd);
  }
}
