/**
 * What overlayfs needs beside a published layer, as data. A layer N with literal markers stands in a stack as
 *
 *     mask N      whiteouts over the literal marker names, catalog files and devices of layer N, and what directories
 *                 should look like that publishing invented
 *     layer N     as published
 *     shim N      what the markers mean: whiteouts, and opaque directories
 *     layer N-1 …
 *
 * A shim stands below its own layer, since a whiteout acts on what is below the directory that carries it, and
 * the layer may have the name again itself. The mask stands directly above its layer and not on top of the
 * stack: there its directories would bring back what a layer in between deletes. So both depend on their layer
 * alone and are kept under its digest, whatever images use it.
 *
 * No whiteout of a shim is ever listed as a ghost: each directory of a shim lies below one of its layer, overlayfs
 * merges the two, and merged directories are listed without whiteouts. For the same reason a directory of the layer
 * that holds overlay whiteouts itself gets an empty copy in the shim.
 */
import type { ByteName } from '../base/bytes.ts';
import { CATALOG } from './markers.ts';
import type { LayerDirectory, LayerWalk, Stamp } from './probe-protocol.ts';

/** A directory of a shim or mask; its own parent is in the plan before it. `''` is the root. */
export interface ShimDirectory {
  readonly path: ByteName;
  /** Of the layer's directory of that name, which this one hides or stands in for. */
  readonly stamp: Stamp;
  /** The owner is the container's root, whatever `stamp` says. */
  readonly ownedByRoot: boolean;
  readonly xattrs: readonly (readonly [name: string, value: string])[];
  readonly opaque: boolean;
  readonly whiteouts: readonly ByteName[];
}

/** Facts about a layer's tree that its place in a stack depends on, as the layer writer reports them too. */
interface LayerFacts {
  readonly explicitRoot: boolean;
  readonly impliedDirs: readonly ByteName[];
  /** Implied directories in which nothing shows. */
  readonly hollowDirs: readonly ByteName[];
  /** `''` among them: nothing below this layer is seen. Overlayfs knows no opaque root; the stack must end here. */
  readonly opaqueDirs: readonly ByteName[];
  readonly entries: number;
  readonly fileBytes: number | undefined;
}

export interface ShimPlan {
  /** Directly above the layer; empty where nothing must be hidden but the catalog file in the layer's root. */
  readonly mask: readonly ShimDirectory[];
  /** Directly below the layer; empty where its markers hide nothing. */
  readonly shim: readonly ShimDirectory[];
  /** Names to hide in the root of any container of this layer: one whiteout on top of the stack does for all. */
  readonly rootHidden: readonly ByteName[];
  readonly facts: LayerFacts;
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

/** Most layers: no marker and nothing invented, one catalog file in the root. They need no directory of their own. */
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

/** The root is its own parent. */
function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
