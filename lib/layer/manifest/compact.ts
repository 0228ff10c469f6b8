/**
 * Removes from a tree manifest the lines that later lines took back. Only manifests of archives that name a path twice
 * need this. To save memory, the file is read three times, and only the paths that were taken back are in memory.
 */
import { renameAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { readTreeManifest } from './reader.ts';
import type { TreeLine } from './tree-manifest.ts';
import { TreeManifestWriter } from './writer.ts';

type HardLink = Extract<TreeLine, readonly ['h', ...unknown[]]>;

/**
 * @param checkpoint called for each line; throws to stop
 * @returns the size of the file afterwards, in bytes
 */
export function compactTreeManifest(path: string, checkpoint: () => void): number {
  const lines = () => checked(readTreeManifest(path), checkpoint);
  const gone = readGone(lines());
  const wanted = linkedThoughGone(lines(), gone);
  const writer = new TreeManifestWriter(`${path}.compact`);
  try {
    for (const line of survivors(lines(), gone, wanted)) writer.line(line);
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
  renameAt(AT_FDCWD, `${path}.compact`, AT_FDCWD, path);
  return writer.bytes;
}

function* checked(lines: Iterable<TreeLine>, checkpoint: () => void): Generator<TreeLine> {
  for (const line of lines) {
    checkpoint();
    yield line;
  }
}

/** For each path: the number of the last line that takes the path back, alone or with everything below it. */
class Gone {
  readonly #self = new Map<string, number>();
  readonly #tree = new Map<string, number>();

  add(path: string, scope: 'self' | 'tree', at: number): void {
    (scope === 'self' ? this.#self : this.#tree).set(path, at);
  }

  /** Returns true when a later line takes back the line `at` about this path. */
  has(path: string, at: number): boolean {
    if ((this.#self.get(path) ?? -1) > at || (this.#tree.get(path) ?? -1) > at) return true;
    if (this.#tree.size === 0) return false;
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      if ((this.#tree.get(path.slice(0, cut)) ?? -1) > at) return true;
    }
    return false;
  }
}

function readGone(lines: Iterable<TreeLine>): Gone {
  const gone = new Gone();
  let at = 0;
  for (const line of lines) {
    if (line[0] === 'x') gone.add(line[1], line[2], at);
    at += 1;
  }
  return gone;
}

/** Paths that were taken back although their inode remains under another name. */
function linkedThoughGone(lines: Iterable<TreeLine>, gone: Gone): Set<string> {
  const wanted = new Set<string>();
  let at = 0;
  for (const line of lines) {
    if (line[0] === 'h' && gone.has(line[2], at)) wanted.add(line[2]);
    at += 1;
  }
  return wanted;
}

function* survivors(lines: Iterable<TreeLine>, gone: Gone, wanted: ReadonlySet<string>): Generator<TreeLine> {
  /**
   * The lines about paths that were taken back. After the first hard link to such a path, its line is a link to that
   * name.
   */
  const graves = new Map<string, TreeLine>();
  let at = 0;
  for (const line of lines) {
    const dead = line[0] === 'x' || (line[0] !== 'o' && gone.has(line[1], at));
    if (dead) {
      if (line[0] !== 'x' && wanted.has(line[1])) graves.set(line[1], line);
    } else {
      yield line[0] === 'h' ? inherit(line, graves) : line;
      // From this line on the path names a new file.
      graves.delete(line[1]);
    }
    at += 1;
  }
}

/** A hard link to a path that was taken back gets the line of that path. */
function inherit([, name, other]: HardLink, graves: Map<string, TreeLine>): TreeLine {
  const grave = graves.get(other);
  if (grave === undefined) return ['h', name, other];
  if (grave[0] === 'h') return inherit(['h', name, grave[2]], graves);
  graves.set(other, ['h', other, name]);
  return [grave[0], name, ...grave.slice(2)] as unknown as TreeLine;
}
