/**
 * Directories that a layer has for its whiteouts alone: `a/b/.wh.c` without an entry for `a/b`. Layer after
 * layer in one root filesystem such a whiteout makes nothing, and where there is no `a/b` it does nothing.
 * As a lower directory it would bring an empty `a/b` into being; a whiteout on top of the stack hides that.
 */
import { readdirSync } from 'node:fs';
import type { ByteName } from '../base/bytes.ts';
import { lookAtTree, prefixes, type StackLayer, seen, treePath } from './stack-view.ts';

/** True when the layer only implies the directory and has nothing in it that would show. */
export function isHollow(layer: StackLayer, name: ByteName): boolean {
  if (layer.hollowDirs !== undefined) return layer.hollowDirs.has(name);
  if (!layer.impliedDirs.has(name)) return false;
  return readdirSync(treePath(layer.tree, name), { encoding: 'latin1' }).every((entry) => {
    const child = `${name}/${entry}` as ByteName;
    return lookAtTree(layer.tree, child) === 'whiteout' || isHollow(layer, child);
  });
}

/** The hollow directories of one layer: only those on the way to a whiteout or an opaque marker can be. */
function hollowDirs(layer: StackLayer): ByteName[] {
  if (layer.hollowDirs !== undefined) return [...layer.hollowDirs];
  const marked = new Set([...layer.whiteoutDirs, ...layer.opaqueDirs].flatMap(prefixes));
  return [...marked].filter((name) => isHollow(layer, name));
}

/** Names that must not show in the merged tree although a layer has them; none lies below another. */
export function phantomDirs(topFirst: readonly StackLayer[]): ByteName[] {
  const hollow = new Set(topFirst.flatMap(hollowDirs));
  const phantoms = new Set(
    [...hollow].filter((name) => {
      const { merged } = seen(topFirst, name, true);
      return merged.length > 0 && merged.every((layer) => isHollow(layer, name));
    }),
  );
  return [...phantoms].filter(
    (name) => !prefixes(name).some((above) => above !== name && phantoms.has(above)),
  );
}
