/**
 * Reads the companion of a layer instead of walking its tree: `whiteouts/` has the layer's whiteouts as overlayfs reads
 * them, and `.metadata/overlay.json` has facts that no tree can show. In the layer itself, only directories with
 * markers are looked at, for their attributes.
 */
import { type ByteName, bytesOf } from '../base/bytes.ts';
import { isPluginError } from '../base/errors/error.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { isDirectory, isWhiteout, statAt, statFd } from '../sys/kernel/stat.ts';
import { openBeneath, stampOf } from './beneath.ts';
import type { LayerDirectory, LayerWalk, ProbeStep, Stamp } from './probe-protocol.ts';
import { readBeneath } from './read-beneath.ts';
import { MAX_OVERLAY_RECORD, type OverlayRecord, parseOverlayRecord } from './records.ts';

type WalkStep = ProbeStep & { step: 'walk' };

interface Marks {
  opaque: boolean;
  readonly whiteouts: ByteName[];
  readonly hidden: ByteName[];
  implied: { stamp: Pick<Stamp, 'sec' | 'nsec'>; own: boolean; hollow: boolean } | undefined;
}

/**
 * The walk's result from the companion. Undefined where its record does not vouch for the layer's directories; then the
 * tree is walked, and `heldAgainst` compares the result with `whiteouts/`.
 * @param digest of the layer, which the record must name
 * @throws SysError when the filesystem fails
 */
export function walkCompanion(
  beside: number,
  step: Pick<WalkStep, 'directory' | 'tree' | 'explicit'>,
  digest: string,
): LayerWalk | undefined {
  const record = recordIn(beside, step.directory);
  if (record === 'unusable' || (record !== undefined && record.layer !== digest)) {
    return unusable('the record of its whiteouts is not readable, or of another layer');
  }
  if (record?.late === undefined) return undefined;
  const marks = new Map<string, Marks>();
  collectWhiteouts(beside, marks);
  addRecord(record, marks, new Set<string>(step.explicit));
  return found(beside, step.tree, marks, { ...record, late: record.late });
}

/**
 * Compares the walk of a tree with its companion, where no record vouches for the companion. The layer is unusable when
 * `whiteouts/` deletes more than the tree's markers do.
 */
export function heldAgainst(beside: number, walk: LayerWalk): LayerWalk {
  const marks = new Map<string, Marks>();
  collectWhiteouts(beside, marks);
  const walked = new Map<string, LayerDirectory>(walk.directories.map((one) => [one.path, one]));
  for (const [path, { whiteouts }] of marks) {
    const found = walked.get(path);
    if (found?.opaque === true || whiteouts.every((name) => found?.whiteouts.includes(name))) continue;
    return unusable('its whiteouts/ deletes more than its tree does, and no record says why');
  }
  return walk;
}

function recordIn(beside: number, directory: string): OverlayRecord | 'unusable' | undefined {
  const bytes = readBeneath(beside, '.metadata/overlay.json', MAX_OVERLAY_RECORD);
  if (bytes === undefined) return undefined;
  try {
    return parseOverlayRecord(bytes, `${directory}/.metadata/overlay.json`);
  } catch (error) {
    if (isPluginError(error, 'CVMFS_BAD_RECORD')) return 'unusable';
    throw error;
  }
}

const NO_MARKS: Readonly<Marks> = { opaque: false, whiteouts: [], hidden: [], implied: undefined };

function unusable(reason: string): LayerWalk {
  return {
    entries: 0,
    directories: [],
    explicitRoot: true,
    vouched: true,
    late: [],
    owners: [],
    ownersKept: false,
    fileBytes: undefined,
    unusable: reason,
  };
}

function collectWhiteouts(beside: number, marks: Map<string, Marks>): void {
  const todo = [''];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    const fd = openBeneath(beside, bytesOf(join('whiteouts', path)), O.RDONLY | O.DIRECTORY);
    try {
      for (const { name } of readDirents(fd, path)) {
        const stat = statAt(fd, bytesOf(name));
        if (isDirectory(stat)) todo.push(join(path, name));
        else if (isWhiteout(stat)) marksOf(marks, path).whiteouts.push(name);
      }
    } finally {
      close(fd);
    }
  }
}

function addRecord(record: OverlayRecord, marks: Map<string, Marks>, explicit: ReadonlySet<string>): void {
  for (const path of record.opaque) marksOf(marks, path).opaque = true;
  for (const { path, sec, nsec, own, hollow } of record.implied) {
    if (!explicit.has(path)) marksOf(marks, path).implied = { stamp: { sec, nsec }, own, hollow };
  }
  for (const path of record.hidden) {
    const cut = path.lastIndexOf('/');
    marksOf(marks, path.slice(0, Math.max(0, cut))).hidden.push(path.slice(cut + 1) as ByteName);
  }
}

function found(
  beside: number,
  tree: string,
  marks: ReadonlyMap<string, Marks>,
  record: OverlayRecord & { readonly late: readonly string[] },
): LayerWalk {
  const directories: LayerDirectory[] = [];
  for (const path of withAncestors(marks.keys())) {
    const { implied, ...marked } = marks.get(path) ?? NO_MARKS;
    let fd: number;
    try {
      fd = openBeneath(beside, bytesOf(join(tree, path)), O.RDONLY | O.DIRECTORY);
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
      return unusable('its whiteouts are of another layer');
    }
    try {
      const stamp = { ...stampOf(statFd(fd)), ...(implied && { mode: 0o755, ...implied.stamp }) };
      directories.push({
        path: path as ByteName,
        stamp,
        ...marked,
        native: false,
        implied: implied && { own: implied.own, hollow: implied.hollow },
        xattrs: [],
      });
    } finally {
      close(fd);
    }
  }
  return {
    entries: record.entries ?? 0,
    directories,
    explicitRoot: record.explicitRoot,
    vouched: true,
    late: record.late as ByteName[],
    owners: [],
    ownersKept: record.ownersKept,
    fileBytes: record.fileBytes,
    unusable: undefined,
  };
}

/** The paths and all directories above them, parents first. */
function withAncestors(paths: Iterable<string>): string[] {
  const all = new Set<string>(['']);
  for (const path of paths) {
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) all.add(at);
  }
  return [...all].sort();
}

function marksOf(marks: Map<string, Marks>, path: string): Marks {
  const known = marks.get(path) ?? { opaque: false, whiteouts: [], hidden: [], implied: undefined };
  marks.set(path, known);
  return known;
}

function join(directory: string, name: string): ByteName {
  return [directory, name].filter((part) => part !== '').join('/') as ByteName;
}
