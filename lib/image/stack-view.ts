/**
 * What a stack of layers shows at one name, without mounting it: the rules of overlayfs for directories.
 * Names are byte names relative to the root; `''` is the root itself.
 */
import { lstatSync } from 'node:fs';
import { type ByteName, bytesOf } from '../base/bytes.ts';
import type { PublishedKey } from '../store/layer-key.ts';
import type { DirectoryAttributes } from '../store/stacks.ts';
import { hasCode } from '../sys/errno.ts';

export type Sight = 'directory' | 'link' | 'whiteout' | 'other' | 'absent';

/** One layer as the stack sees it. */
export interface StackLayer {
  /** Its name below volumes/, or an absolute path that is not the store's. */
  readonly lower: string;
  /** Absolute path of its tree. */
  readonly tree: string;
  readonly bytes: number;
  readonly explicitRoot: boolean;
  readonly impliedDirs: ReadonlySet<ByteName>;
  readonly whiteoutDirs: readonly ByteName[];
  readonly opaqueDirs: ReadonlySet<ByteName>;
  /** Lower directories that belong to it: a shim right below it, a mask right above it (CVMFS). */
  readonly shimBelow?: string | undefined;
  readonly maskAbove?: string | undefined;
  /** What the layer itself has at a name; the default looks at `tree`. */
  readonly look?: ((name: ByteName) => Sight) | undefined;
  /** Attributes of a directory of the layer as a container sees them; the default reads `tree`. */
  readonly attributes?: ((name: ByteName) => DirectoryAttributes) | undefined;
  /** How leases and records name what the store keeps about it, where that is not `lower` (CVMFS). */
  readonly name?: PublishedKey | undefined;
  /** Implied directories in which nothing shows, where the tree itself does not tell (CVMFS). */
  readonly hollowDirs?: ReadonlySet<ByteName> | undefined;
  /** Names that must not be seen in the root of a container. */
  readonly rootHidden?: readonly ByteName[] | undefined;
  /** The layer is read through an idmapped mount of this directory. */
  readonly idmapRoot?: string | undefined;
}

export function treePath(tree: string, name: ByteName): Buffer {
  return name === '' ? Buffer.from(tree) : Buffer.concat([Buffer.from(`${tree}/`), bytesOf(name)]);
}

export function lookAtTree(tree: string, name: ByteName): Sight {
  try {
    const stat = lstatSync(treePath(tree, name));
    if (stat.isDirectory()) return 'directory';
    if (stat.isSymbolicLink()) return 'link';
    return stat.isCharacterDevice() && stat.rdev === 0 ? 'whiteout' : 'other';
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return 'absent';
    throw error;
  }
}

function look(layer: StackLayer, name: ByteName): Sight {
  return layer.look ? layer.look(name) : lookAtTree(layer.tree, name);
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`. */
export function prefixes(name: ByteName): ByteName[] {
  const found: ByteName[] = [];
  for (let at = name.indexOf('/'); at !== -1; at = name.indexOf('/', at + 1))
    found.push(name.slice(0, at) as ByteName);
  if (name !== '') found.push(name);
  return found;
}

export interface Seen {
  /** The layers that have the name as a directory and are merged there, topmost first. */
  readonly merged: readonly StackLayer[];
  /** What ended the way down, where that was not the bottom: a file, a link, a whiteout, an opaque directory. */
  readonly end: { readonly at: ByteName; readonly sight: Sight } | undefined;
}

/**
 * Walks down `layers` (topmost first) for a directory's name. An opaque directory of that very name ends the
 * merge below it for contents; with `throughOpaque` the walk goes on, for attributes, which a layer that only
 * implies the directory inherits all the same.
 */
export function seen(layers: readonly StackLayer[], name: ByteName, throughOpaque: boolean): Seen {
  const path = prefixes(name);
  const merged: StackLayer[] = [];
  for (const layer of layers) {
    const found = inLayer(layer, path);
    if (found.sight === 'directory') merged.push(layer);
    else if (found.sight !== 'absent') return { merged, end: found };
    const above = path.slice(0, -1).some((prefix) => layer.opaqueDirs.has(prefix));
    const own = layer.opaqueDirs.has(name) && !throughOpaque;
    if (above || own) return { merged, end: { at: name, sight: 'absent' } };
  }
  return { merged, end: undefined };
}

/** The first thing on the path that is no directory in this layer, or the directory at its end. */
function inLayer(layer: StackLayer, path: readonly ByteName[]): { at: ByteName; sight: Sight } {
  let last: { at: ByteName; sight: Sight } = { at: '' as ByteName, sight: 'directory' };
  for (const prefix of path) {
    last = { at: prefix, sight: look(layer, prefix) };
    if (last.sight !== 'directory') return last;
  }
  return last;
}
