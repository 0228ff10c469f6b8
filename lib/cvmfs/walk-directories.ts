/** The directories of a layer while it is walked, and what they come to in the end. */
import type { ByteName } from '../base/bytes.ts';
import type { LayerDirectory, Stamp } from './probe-protocol.ts';

export interface Directory {
  readonly path: ByteName;
  readonly parent: Directory | undefined;
  stamp: Stamp;
  readonly xattrs: LayerDirectory['xattrs'];
  /** Below an opaque directory whiteouts hide nothing more. */
  readonly covered: boolean;
  opaque: boolean;
  readonly replaced: boolean;
  readonly whiteouts: Set<ByteName>;
  readonly hidden: ByteName[];
  native: boolean;
  implied: boolean;
  /** Nothing that a container would see lies directly in it, but directories perhaps. */
  bare: boolean;
  /** Newest time of what lies directly in it. */
  newest: Stamp | undefined;
  /** Those that are to be seen. */
  readonly children: Directory[];
  wanted: boolean;
}

/**
 * Times of implied directories were lost when they were published: of what lies in them, the newest stands for
 * theirs. Most tools write one time into all of a layer, and then it is the right one.
 */
export function finishImplied(directories: readonly Directory[]): void {
  for (const directory of directories.toReversed()) {
    if (!directory.implied || directory.path === '') continue;
    const times = [directory.newest, ...directory.children.map(({ stamp }) => stamp)];
    const newest = times.reduce((a, b) => (isNewer(a, b) ? a : b), undefined);
    const { sec, nsec } = newest ?? directory.stamp;
    directory.stamp = { ...directory.stamp, mode: 0o755, sec, nsec };
  }
}

/**
 * A directory of which nothing is left from below, and that the layer has for nothing but markers: those have nothing
 * to act on, so there is none.
 */
export function dropEmpty(directories: readonly Directory[]): void {
  for (const directory of directories) {
    const { parent } = directory;
    if (parent === undefined || !isOwn(directory) || !isEmpty(directory)) continue;
    const name = lastOf(directory.path);
    parent.whiteouts.add(name);
    parent.hidden.push(name);
    parent.children.splice(parent.children.indexOf(directory), 1);
    forgetTree(directory);
  }
}

/** Copies of this directory will stand in shims, and they need copies of the ones above it. */
export function want(directory: Directory): void {
  for (let at: Directory | undefined = directory; at !== undefined && !at.wanted; at = at.parent)
    at.wanted = true;
}

export function isMarked({ opaque, native, hidden }: Directory): boolean {
  return opaque || native || hidden.length > 0;
}

/** Nothing in it shows; it was made for markers, or for nothing. */
function isEmpty({ implied, bare, children }: Directory): boolean {
  return implied && bare && children.every(isEmpty);
}

/** The same, and lower layers may have the directory: where none has, it does not come into being. */
function isHollow(directory: Directory): boolean {
  return !isOwn(directory) && isEmpty(directory) && directory.children.every(isHollow);
}

/** Lower layers have nothing to say about it. */
function isOwn({ replaced, parent }: Directory): boolean {
  return replaced || (parent !== undefined && (parent.opaque || parent.covered));
}

function forgetTree(directory: Directory): void {
  directory.wanted = false;
  for (const child of directory.children) forgetTree(child);
}

export function isNewer(a: Stamp | undefined, b: Stamp | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec);
}

export function published(directory: Directory): LayerDirectory {
  const { path, stamp, hidden, native, xattrs } = directory;
  const opaque = directory.opaque && !directory.covered;
  const own = isOwn(directory);
  const implied = directory.implied && path !== '' ? { own, hollow: isHollow(directory) } : undefined;
  const whiteouts = directory.opaque || directory.covered ? [] : [...directory.whiteouts];
  return { path, stamp, opaque, whiteouts, hidden, native, implied, xattrs };
}

export function lastOf(path: ByteName): ByteName {
  return path.slice(path.lastIndexOf('/') + 1) as ByteName;
}
