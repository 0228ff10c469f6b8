/**
 * What trees show together, said as plainly as it can be: every name is looked up in every tree, component by component.
 * Slow, and what `LowerTrees` is held against.
 */
import { lstatSync } from 'node:fs';
import { lgetxattr } from '../../../lib/sys/kernel/files.ts';

/** The tree whose name shows at `path`; undefined for directories and for what is not there. */
export function plainFind(topFirst: readonly string[], path: string): string | undefined {
  let showing = topFirst;
  const parts = path.split('/');
  for (const [i] of parts.entries()) {
    const merged = merge(showing, parts.slice(0, i + 1).join('/'));
    if (typeof merged === 'string') return i === parts.length - 1 ? merged : undefined;
    showing = merged;
  }
  return undefined;
}

/** The trees whose directories merge at `path`, or the one whose other thing shows there. */
function merge(trees: readonly string[], path: string): readonly string[] | string {
  const directories: string[] = [];
  for (const tree of trees) {
    const stat = lstatSync(`${tree}/${path}`, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (!stat.isDirectory()) {
      if (directories.length > 0 || (stat.isCharacterDevice() && stat.rdev === 0)) break;
      return tree;
    }
    directories.push(tree);
    if (lgetxattr(`${tree}/${path}`, 'trusted.overlay.opaque')?.[0] === 0x79) break;
  }
  return directories;
}
