/** The directories of a layer during its walk, and the conclusions at its end. */
import type { ByteName } from '../base/bytes.ts';
import type { LayerDirectory, Stamp } from './probe-protocol.ts';

export interface Directory {
  readonly path: ByteName;
  readonly parent: Directory | undefined;
  stamp: Stamp;
  readonly xattrs: LayerDirectory['xattrs'];
  /** True below an opaque directory, where whiteouts hide nothing more. */
  readonly covered: boolean;
  opaque: boolean;
  readonly replaced: boolean;
  readonly whiteouts: Set<ByteName>;
  readonly hidden: ByteName[];
  native: boolean;
  implied: boolean;
  /** True while the directory has no entries that a container would see, except directories. */
  bare: boolean;
  /** The newest time of the entries directly in it. */
  newest: Stamp | undefined;
  /** The directories in it that a container sees. */
  readonly children: Directory[];
  wanted: boolean;
}

/**
 * Gives implied directories a time. Publishing lost theirs, so the newest time of their entries takes its place: most
 * tools write one time into a whole layer, and then it is the right one.
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
 * Hides directories that the layer has for its markers alone, where this layer also deletes the lower directory: the
 * markers have no effect there, so the container gets no such directory.
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

/** Marks a directory to be copied into shims, with all directories above it. */
export function want(directory: Directory): void {
  for (let at: Directory | undefined = directory; at !== undefined && !at.wanted; at = at.parent)
    at.wanted = true;
}

export function isMarked({ opaque, native, hidden }: Directory): boolean {
  return opaque || native || hidden.length > 0;
}

/** True when nothing in the directory shows: it was made for markers, or has no entries. */
function isEmpty({ implied, bare, children }: Directory): boolean {
  return implied && bare && children.every(isEmpty);
}

/**
 * True for a hollow directory: nothing in it shows, and lower layers may have the directory. Where no lower layer has
 * it, it does not come into being.
 */
function isHollow(directory: Directory): boolean {
  return !isOwn(directory) && isEmpty(directory) && directory.children.every(isHollow);
}

/** True when lower layers have no influence on the directory. */
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
