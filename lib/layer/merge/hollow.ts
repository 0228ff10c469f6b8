/**
 * Directories that a layer has for its markers alone: `a/b/.wh.c` without an entry for `a/b`. Where no lower layer has
 * such a directory, the marker hides nothing, and there is no directory.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { Steps } from '../../base/turns.ts';
import type { RootedTree } from '../../sys/files/rooted.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import { isDirectory, isWhiteout, statAt } from '../../sys/kernel/stat.ts';
import { pathOf } from '../tree/layer-tree.ts';

/**
 * @param implied the layer's implied directories, sorted
 * @param marked directories on the way to markers
 * @returns the marked ones in which nothing shows
 */
export function* hollowDirectories(
  tree: RootedTree,
  implied: readonly ByteName[],
  marked: ReadonlySet<ByteName>,
): Steps<ReadonlySet<ByteName>> {
  const empty = new Set<ByteName>();
  if (marked.size === 0) return empty;
  // A directory comes before those in it in the order of strings, so the reverse order has children first.
  for (const path of implied.toReversed()) {
    yield;
    if (showsNothing(tree, path, empty)) empty.add(path);
  }
  return new Set([...empty].filter((path) => marked.has(path)));
}

function showsNothing(tree: RootedTree, path: ByteName, empty: ReadonlySet<ByteName>): boolean {
  const directory = tree.find(path);
  if (directory === undefined) return false;
  for (const { name, type } of directory.entries()) {
    if (type === DT.REG || type === DT.LNK) return false;
    const stat = statAt(directory.fd, bytesOf(name));
    if (isDirectory(stat) ? !empty.has(pathOf(directory, name)) : !isWhiteout(stat)) return false;
  }
  return true;
}
