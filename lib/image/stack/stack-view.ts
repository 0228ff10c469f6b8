/**
 * Looks at a name in a single layer, for the rules of overlayfs (merged-names.ts) without a mount. Names are byte names
 * relative to the root; `''` is the root itself.
 */
import { lstatSync } from 'node:fs';
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { CvmfsKey, LayerKey, OutsidePath, VolumeName } from '../../store/layout/layer-key.ts';
import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import { type Dirent, DirentReader, DT } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';

export type Sight = 'directory' | 'link' | 'whiteout' | 'other' | 'absent';

interface LayerFacts {
  /** Absolute path of its tree. */
  readonly tree: string;
  readonly bytes: number;
  readonly explicitRoot: boolean;
  readonly impliedDirs: ReadonlySet<ByteName>;
  readonly whiteoutDirs: readonly ByteName[];
  readonly opaqueDirs: ReadonlySet<ByteName>;
}

/** A layer in the store: its tree shows all that the stack asks for. */
interface StoredStackLayer extends LayerFacts {
  readonly kind: 'stored';
  readonly lower: LayerKey;
}

/** A layer on CVMFS: its shim and its mask change what its tree shows. */
export interface CvmfsStackLayer extends LayerFacts {
  readonly kind: 'cvmfs';
  readonly lower: OutsidePath;
  /** The name of the store's record about the layer. */
  readonly name: CvmfsKey;
  /** Lower directories that belong to it: a shim right below it, a mask right above it. */
  readonly shimBelow: VolumeName | undefined;
  readonly maskAbove: VolumeName | undefined;
  /** The type that the layer itself has for a name. */
  readonly look: (name: ByteName) => Sight;
  /** The entries of a directory; undefined for more than `max` entries, or where names are better looked up one by one. */
  readonly list: (directory: ByteName, max: number, onEntry: () => void) => [string, Sight][] | undefined;
  /** Attributes of a directory of the layer as a container sees them. */
  readonly attributes: (name: ByteName) => DirectoryAttributes;
  /** Hollow directories, which the tree itself does not show. */
  readonly hollowDirs: ReadonlySet<ByteName>;
  /** Names to hide in the root of a container. */
  readonly rootHidden: readonly ByteName[];
  /** The layer is read through an idmapped mount of this directory. */
  readonly idmapRoot: string | undefined;
}

/** A layer as the stack sees it. */
export type StackLayer = StoredStackLayer | CvmfsStackLayer;

/** The name of a layer in leases, records and names of stacks. */
export function nameOf(layer: StackLayer): LayerKey | CvmfsKey {
  return layer.kind === 'cvmfs' ? layer.name : layer.lower;
}

export function treePath(tree: string, name: ByteName): Buffer {
  return name === '' ? Buffer.from(tree) : Buffer.concat([Buffer.from(`${tree}/`), bytesOf(name)]);
}

export function lookAtTree(tree: string, name: ByteName): Sight {
  try {
    // Most names are absent, and an exception costs four times as much as the lookup (measured).
    const stat = lstatSync(treePath(tree, name), { throwIfNoEntry: false });
    if (stat === undefined) return 'absent';
    if (stat.isDirectory()) return 'directory';
    if (stat.isSymbolicLink()) return 'link';
    return stat.isCharacterDevice() && stat.rdev === 0 ? 'whiteout' : 'other';
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return 'absent';
    throw error;
  }
}

export function look(layer: StackLayer, name: ByteName): Sight {
  return layer.kind === 'cvmfs' ? layer.look(name) : lookAtTree(layer.tree, name);
}

/**
 * The entries of a layer's directory; undefined where it has more than `max`, or where a list costs more than to look
 * names up one by one.
 */
export function listLayer(
  layer: StackLayer,
  directory: ByteName,
  max: number,
  onEntry: () => void,
): [string, Sight][] | undefined {
  if (layer.kind === 'cvmfs') return layer.list(directory, max, onEntry);
  const found: [string, Sight][] = [];
  for (const { name, type } of direntsOf(layer.tree, directory)) {
    if (found.length === max) return undefined;
    onEntry();
    found.push([name, sightOf(type) ?? lookAtTree(layer.tree, childOf(directory, name))]);
  }
  return found;
}

/** The type of an entry by its `d_type`; undefined where a stat is needed. */
function sightOf(type: number): Sight | undefined {
  switch (type) {
    case DT.DIR:
      return 'directory';
    case DT.LNK:
      return 'link';
    // A whiteout is a character device.
    case DT.CHR:
    case DT.UNKNOWN:
      return undefined;
    default:
      return 'other';
  }
}

/** The entries of a directory, one by one, so that they are never in memory together. */
export function* direntsOf(tree: string, directory: ByteName): Generator<Dirent> {
  const path = treePath(tree, directory);
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    const reader = new DirentReader(fd, path.toString('latin1'));
    for (let entry = reader.next(); entry !== undefined; entry = reader.next()) yield entry;
  } finally {
    close(fd);
  }
}

export function childOf(directory: ByteName, name: string): ByteName {
  return (directory === '' ? name : `${directory}/${name}`) as ByteName;
}
