/**
 * What the trees below a layer show together, as overlayfs would merge them: for layers that cannot stand alone. What
 * was found is remembered, and a tree whose directory is asked for many names is listed there and then asked only for
 * what it has. So the work grows with what the trees have and not with names times trees.
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
/** Its value is the letter y. */
export const OPAQUE_YES = 0x79;

/** Looking a name up costs about as much as listing so many (as in planning, measured: 3 µs and 0.2 µs a name). */
const LIST_AFTER = 16;
const NAMES_PER_LOOK = 8;
/** Directories with more are asked for every name. */
const MAX_LISTED = 4096;
/** Names in memory at once, found or listed, some 300 bytes each; with more, all are forgotten and looked up again. */
const MAX_HELD = 100_000;
const DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;

/** A name that the merged lower trees show and that is no directory. */
export interface LowerName {
  /** The root of the tree it is in, open while the LowerTrees are. */
  readonly rootFd: number;
  readonly path: ByteName;
  readonly stat: Stat;
}

/** The directory of one tree, among those that merge. */
interface Part {
  readonly rootFd: number;
  /** Among the trees, 0 on top. */
  readonly place: number;
  state: 'asked' | 'listed' | 'large';
  /** How many names it was asked for. */
  asked: number;
}

/** A directory of the merged trees, and what is known of the names in it. */
class Merged {
  readonly path: ByteName;
  readonly known = new Map<string, Merged | LowerName | undefined>();
  /** Parts that are asked for every name, topmost first. */
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
  /** Roots, topmost first. */
  readonly #roots: number[] = [];
  readonly #budget: Budget;
  #root: Merged;
  /** Names in memory. */
  #held = 0;

  /** @throws PluginError LAYER_TOO_LARGE, as every look does, when the budget has no more looks */
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
   * Looks a path up whose directories are no links in the merged view: link by link that is the caller's walk.
   * Undefined for what is not there and for directories.
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

  /** The target where the merged view has a symbolic link. */
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

  /** The trees' directories at `path`, or what else shows there. */
  #merge(directory: Merged, name: string, path: ByteName): Merged | LowerName | undefined {
    const roots: number[] = [];
    for (const part of directory.parts(name)) {
      if (this.#isListedWithout(directory, part, name)) continue;
      const { rootFd } = part;
      this.#budget.look(path);
      const stat = statIfThere(rootFd, bytesOf(path));
      if (stat === undefined) continue;
      if (!isDirectory(stat)) {
        // A whiteout, or a file that a directory above it hides: in both cases nothing below shows.
        if (roots.length > 0 || isWhiteout(stat)) break;
        return { rootFd, path, stat };
      }
      roots.push(rootFd);
      if (isOpaque(rootFd, path)) break;
    }
    return roots.length === 0 ? undefined : new Merged(path, roots);
  }

  /** Lists the part when it was asked often enough. */
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

  /** Undefined where there are too many. */
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
