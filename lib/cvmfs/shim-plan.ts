/**
 * Plans the shim and the mask of a layer on CVMFS, as data. A layer N with literal markers is in a stack as
 *
 *     mask N      whiteouts over the literal marker names, catalog files and devices of layer N, and directories
 *                 with the right attributes where publishing made them up
 *     layer N     as it lies in the repository
 *     shim N      the meaning of the markers: whiteouts, and opaque directories
 *     layer N-1 …
 *
 * A shim lies below its own layer, since a whiteout acts on the layers below the directory that has it, and the layer
 * may have the same name again itself. The mask lies directly above its layer and not on top of the stack: there its
 * directories would bring back names that a layer in between deletes. So both depend on their layer alone. They are
 * kept under its digest and serve every image.
 *
 * A whiteout of a shim is never listed by readdir: each directory of a shim lies below a directory of its layer,
 * overlayfs merges the two, and merged directories are listed without whiteouts. For the same reason a directory of the
 * layer with overlay whiteouts of its own gets an empty copy in the shim.
 */
import type { ByteName } from '../base/bytes.ts';
import { CATALOG } from './markers.ts';
import type { LayerDirectory, LayerWalk, Stamp } from './probe-protocol.ts';

/** A directory of a shim or mask. Its parent comes before it in the plan. `''` is the root. */
export interface ShimDirectory {
  readonly path: ByteName;
  /** Attributes of the layer's directory of that name, which this one covers or replaces. */
  readonly stamp: Stamp;
  /** True when the owner is the container's root, whatever `stamp` has. */
  readonly ownedByRoot: boolean;
  readonly xattrs: readonly (readonly [name: string, value: string])[];
  readonly opaque: boolean;
  readonly whiteouts: readonly ByteName[];
}

/** Facts about a layer's tree that decide on its position in a stack. The layer writer reports the same facts. */
interface LayerFacts {
  readonly explicitRoot: boolean;
  readonly impliedDirs: readonly ByteName[];
  /** Hollow directories. */
  readonly hollowDirs: readonly ByteName[];
  /**
   * Opaque directories. With `''` among them nothing below this layer shows: overlayfs has no opaque root, so the stack
   * must end here.
   */
  readonly opaqueDirs: readonly ByteName[];
  readonly entries: number;
  readonly fileBytes: number | undefined;
}

export interface ShimPlan {
  /** Directories directly above the layer; empty where only the catalog file in the layer's root must be hidden. */
  readonly mask: readonly ShimDirectory[];
  /** Directories directly below the layer; empty where its markers hide nothing. */
  readonly shim: readonly ShimDirectory[];
  /** Names to hide in the root of a container: one whiteout on top of the stack hides them for all layers. */
  readonly rootHidden: readonly ByteName[];
  readonly facts: LayerFacts;
  /** All directories that publishing made up, also those that no lower layer affects. */
  readonly madeUp: readonly ByteName[];
}

/** The plan for a walked layer. */
export function planShims(walk: LayerWalk): ShimPlan {
  const rootOnly = onlyCatalogInRoot(walk.directories);
  const shim = withAncestors(walk.directories, isShimmed, (directory) => ({
    opaque: directory.opaque && directory.path !== '',
    whiteouts: directory.whiteouts,
  }));
  return {
    mask: rootOnly
      ? []
      : withAncestors(
          walk.directories,
          (directory) => directory.hidden.length > 0 || directory.implied !== undefined,
          (directory) => ({ opaque: false, whiteouts: directory.hidden }),
        ),
    shim,
    madeUp: pathsOf(walk.directories, ({ implied }) => implied !== undefined),
    rootHidden: rootOnly ? (walk.directories[0]?.hidden ?? []) : [],
    facts: {
      explicitRoot: walk.explicitRoot,
      impliedDirs: pathsOf(walk.directories, ({ implied }) => implied !== undefined && !implied.own),
      hollowDirs: pathsOf(walk.directories, ({ implied }) => implied?.hollow ?? false),
      opaqueDirs: pathsOf(walk.directories, ({ opaque }) => opaque),
      entries: walk.entries,
      fileBytes: walk.fileBytes,
    },
  };
}

function pathsOf(
  directories: readonly LayerDirectory[],
  wanted: (directory: LayerDirectory) => boolean,
): ByteName[] {
  return directories.flatMap((directory) => (wanted(directory) ? [directory.path] : []));
}

function isShimmed(directory: LayerDirectory): boolean {
  return directory.whiteouts.length > 0 || directory.native || (directory.opaque && directory.path !== '');
}

/**
 * True for most layers: no marker, no made-up directory, and one catalog file in the root. These need no directories of
 * their own.
 */
function onlyCatalogInRoot(directories: readonly LayerDirectory[]): boolean {
  return directories.every(
    ({ path, hidden, implied }) =>
      implied === undefined && (hidden.length === 0 || (path === '' && hidden.every(isCatalog))),
  );
}

function isCatalog(name: ByteName): boolean {
  return name === CATALOG;
}

function withAncestors(
  directories: readonly LayerDirectory[],
  wanted: (directory: LayerDirectory) => boolean,
  content: (directory: LayerDirectory) => { opaque: boolean; whiteouts: readonly ByteName[] },
): ShimDirectory[] {
  const keep = new Set<string>();
  for (const directory of directories) {
    if (!wanted(directory)) continue;
    for (let path: string = directory.path; !keep.has(path); path = parentOf(path)) keep.add(path);
  }
  const plain = { opaque: false, whiteouts: [] };
  return directories
    .filter(({ path }) => keep.has(path))
    .map((directory) => ({
      path: directory.path,
      stamp: directory.stamp,
      ownedByRoot: directory.implied !== undefined,
      xattrs: directory.xattrs,
      ...(wanted(directory) ? content(directory) : plain),
    }));
}

/** The directory above a path. The root is its own parent. */
function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
