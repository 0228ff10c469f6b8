/**
 * The merged view of the trees below a layer, as overlayfs would show it: for layers that need their lower layers.
 * Results are kept in memory. After many names of one directory were looked up in a tree, that directory is listed, and
 * the tree is then asked only for names that it has. So the work grows with the size of the trees, and not with names
 * times trees.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { DirentReader } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, openDir, readlinkAt } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { isDirectory, isSymlink, isWhiteout, type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import { fgetxattr } from '../../sys/kernel/xattr.ts';
import type { Budget } from './budget.ts';

export const OPAQUE_XATTR = 'trusted.overlay.opaque';
/** The value of the opaque attribute is the letter y. */
export const OPAQUE_YES = 0x79;

/**
 * A lookup of one name costs about as much as listing this many names (measured in planning: 3 µs and 0.2 µs a name).
 */
const LIST_AFTER = 16;
const NAMES_PER_LOOK = 8;
/** Directories with more names are not listed, and every name is looked up. */
const MAX_LISTED = 4096;
/** Most names in memory, found or listed, some 300 bytes each. Above this, all are dropped and looked up again. */
const MAX_HELD = 100_000;
const DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;

/** A name in the merged lower trees that is no directory. */
export interface LowerName {
  /** The root of the tree that has the name. Open as long as the LowerTrees. */
  readonly rootFd: number;
  readonly path: ByteName;
  readonly stat: Stat;
}

/** The directory of one tree, as a part of a merged directory. */
interface Part {
  readonly rootFd: number;
  /** Index of the tree; 0 is the topmost. */
  readonly place: number;
  state: 'asked' | 'listed' | 'large';
  /** How many names were looked up in it. */
  asked: number;
}

/** A directory of the merged trees, and the known names in it. */
class Merged {
  readonly path: ByteName;
  readonly known = new Map<string, Merged | LowerName | undefined>();
  /** Parts in which every name is looked up, topmost first. */
  #asked: readonly Part[];
  /** Parts that were listed, by the names that they have. */
  readonly #listed = new Map<string, Part[]>();

  constructor(path: ByteName, roots: readonly number[]) {
    this.path = path;
    this.#asked = roots.map((rootFd, place) => ({ rootFd, place, state: 'asked', asked: 0 }));
  }

  /** Parts that may have the name, topmost first. */
  parts(name: string): readonly Part[] {
    const listed = this.#listed.get(name);
    return listed === undefined ? this.#asked : [...listed, ...this.#asked].sort((a, b) => a.place - b.place);
  }

  list(part: Part, names: readonly string[]): void {
    part.state = 'listed';
    this.#asked = this.#asked.filter((other) => other !== part);
    for (const name of names) {
      const parts = this.#listed.get(name);
      if (parts === undefined) this.#listed.set(name, [part]);
      else parts.push(part);
    }
  }
}

export class LowerTrees {
  /** Descriptors of the trees' roots, topmost first. */
  readonly #roots: number[] = [];
  readonly #budget: Budget;
  #root: Merged;
  /** Number of names in memory. */
  #held = 0;

  /** @throws PluginError LAYER_TOO_LARGE, like every look, when the budget allows no more looks */
  constructor(trees: readonly string[], budget: Budget) {
    this.#budget = budget;
    try {
      for (const tree of trees) {
        budget.look();
        this.#roots.push(openDir(tree));
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.#root = new Merged('' as ByteName, this.#roots);
  }

  /**
   * Looks up a path whose directories are no links in the merged view; the caller follows links. Undefined for missing
   * names and for directories.
   */
  find(path: ByteName): LowerName | undefined {
    this.#budget.recall(path);
    if (this.#held > MAX_HELD) this.#forget();
    let at = this.#root;
    for (let from = 0; from < path.length; ) {
      const slash = path.indexOf('/', from);
      const end = slash < 0 ? path.length : slash;
      const found = this.#child(at, path.slice(from, end), path.slice(0, end) as ByteName);
      if (!(found instanceof Merged)) return end === path.length ? found : undefined;
      [at, from] = [found, end + 1];
    }
    return undefined;
  }

  /** The target of the symbolic link at `path` in the merged view. Undefined where no link is there. */
  linkAt(path: ByteName): Uint8Array | undefined {
    const found = this.find(path);
    if (found === undefined || !isSymlink(found.stat)) return undefined;
    return readlinkAt(found.rootFd, bytesOf(path));
  }

  close(): void {
    for (const root of this.#roots) close(root);
    this.#roots.length = 0;
  }

  #forget(): void {
    this.#root = new Merged('' as ByteName, this.#roots);
    this.#held = 0;
  }

  #child(directory: Merged, name: string, path: ByteName): Merged | LowerName | undefined {
    const known = directory.known.get(name);
    if (known !== undefined || directory.known.has(name)) return known;
    const found = this.#merge(directory, name, path);
    directory.known.set(name, found);
    this.#held += 1;
    return found;
  }

  /** Merges the trees' directories at `path`, or returns the other file that is visible there. */
  #merge(directory: Merged, name: string, path: ByteName): Merged | LowerName | undefined {
    const roots: number[] = [];
    for (const part of directory.parts(name)) {
      if (this.#isListedWithout(directory, part, name)) continue;
      const { rootFd } = part;
      this.#budget.look(path);
      const stat = statIfThere(rootFd, bytesOf(path));
      if (stat === undefined) continue;
      if (!isDirectory(stat)) {
        // A whiteout, or a file below directories of upper trees: in both cases the lower trees are hidden.
        if (roots.length > 0 || isWhiteout(stat)) break;
        return { rootFd, path, stat };
      }
      roots.push(rootFd);
      if (isOpaque(rootFd, path)) break;
    }
    return roots.length === 0 ? undefined : new Merged(path, roots);
  }

  /** Lists the part when enough names were looked up in it. Returns true when it was listed now and lacks the name. */
  #isListedWithout(directory: Merged, part: Part, name: string): boolean {
    if (part.state !== 'asked') return false;
    part.asked += 1;
    if (part.asked <= LIST_AFTER) return false;
    const names = this.#namesIn(part.rootFd, directory.path);
    if (names === undefined) {
      part.state = 'large';
      return false;
    }
    directory.list(part, names);
    this.#held += names.length;
    return !names.includes(name);
  }

  /** The names in a directory. Undefined where there are too many. */
  #namesIn(rootFd: number, path: ByteName): string[] | undefined {
    this.#budget.look(path);
    const fd = openAt(rootFd, path === '' ? '.' : bytesOf(path), DIRECTORY);
    try {
      const names: string[] = [];
      const reader = new DirentReader(fd, path);
      for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
        if (names.length === MAX_LISTED) return undefined;
        names.push(entry.name);
        if (names.length % NAMES_PER_LOOK === 0) this.#budget.look();
      }
      return names;
    } finally {
      close(fd);
    }
  }
}

function isOpaque(rootFd: number, path: ByteName): boolean {
  const fd = openAt(rootFd, bytesOf(path), DIRECTORY);
  try {
    return fgetxattr(fd, OPAQUE_XATTR)?.[0] === OPAQUE_YES;
  } catch (error) {
    if (hasCode(error, 'EPERM')) return false;
    throw error;
  } finally {
    close(fd);
  }
}
