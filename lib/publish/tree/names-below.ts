/** The names that layers in DUCC's layout have in one of their directories. */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { openBeneath } from '../../cvmfs/beneath.ts';
import { CATALOG, markerOf } from '../../cvmfs/markers.ts';
import { readDirents } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openDir } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { isWhiteout, statAt } from '../../sys/kernel/stat.ts';

/** @param trees absolute paths of directories `layerfs`; one that does not exist has no names */
export function namesIn(trees: readonly string[], path: ByteName): Set<ByteName> {
  const names = new Set<ByteName>();
  for (const tree of trees) for (const name of namesInTree(tree, path)) names.add(name);
  return names;
}

function namesInTree(tree: string, path: ByteName): ByteName[] {
  const opened: number[] = [];
  try {
    const root = openDir(tree);
    opened.push(root);
    // Links are not followed: below a link the upper layer has another directory.
    const directory = openBeneath(root, bytesOf(path), O.RDONLY | O.DIRECTORY);
    opened.push(directory);
    return readDirents(directory, tree)
      .map(({ name }) => name)
      .filter((name) => name !== CATALOG && markerOf(name) === undefined)
      .filter((name) => !isWhiteout(statAt(directory, bytesOf(name))));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV')) return [];
    throw error;
  } finally {
    for (const fd of opened) close(fd);
  }
}
