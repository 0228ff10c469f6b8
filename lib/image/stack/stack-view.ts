/**
 * Looks at a name in a single layer, for the rules of overlayfs (merged-names.ts) without a mount. Names are byte names
 * relative to the root; `''` is the root itself.
 */
import { lstatSync } from 'node:fs';
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { CvmfsKey, Lower, VolumeName } from '../../store/layout/layer-key.ts';
import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import { type Dirent, DirentReader, DT } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';

export type Sight = 'directory' | 'link' | 'whiteout' | 'other' | 'absent';

/** A layer as the stack sees it. */
export interface StackLayer {
  /** Its name below volumes/, or an absolute path that is not the store's. */
  readonly lower: Lower;
  /** Absolute path of its tree. */
  readonly tree: string;
  readonly bytes: number;
  readonly explicitRoot: boolean;
  readonly impliedDirs: ReadonlySet<ByteName>;
  readonly whiteoutDirs: readonly ByteName[];
  readonly opaqueDirs: ReadonlySet<ByteName>;
  /** Lower directories that belong to it: a shim right below it, a mask right above it (CVMFS). */
  readonly shimBelow?: VolumeName | undefined;
  readonly maskAbove?: VolumeName | undefined;
  /** The type that the layer itself has for a name; the default looks at `tree`. */
  readonly look?: ((name: ByteName) => Sight) | undefined;
  /** The entries of a directory, where `look` is given; undefined for more than `max` entries. */
  readonly list?:
    | ((directory: ByteName, max: number, onEntry: () => void) => [string, Sight][] | undefined)
    | undefined;
  /** Attributes of a directory of the layer as a container sees them; the default reads `tree`. */
  readonly attributes?: ((name: ByteName) => DirectoryAttributes) | undefined;
  /** The name of the store's record about the layer, where that is not `lower` (CVMFS). */
  readonly name?: CvmfsKey | undefined;
  /** Hollow directories, where the tree itself does not show them (CVMFS). */
  readonly hollowDirs?: ReadonlySet<ByteName> | undefined;
  /** Names to hide in the root of a container. */
  readonly rootHidden?: readonly ByteName[] | undefined;
  /** The layer is read through an idmapped mount of this directory. */
  readonly idmapRoot?: string | undefined;
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
  return layer.look ? layer.look(name) : lookAtTree(layer.tree, name);
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
  if (layer.list !== undefined) return layer.list(directory, max, onEntry);
  if (layer.look !== undefined) return undefined;
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
