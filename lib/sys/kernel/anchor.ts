/**
 * Directories that are reached by descriptor instead of by name. An anchored tree has fixed directories, each opened
 * and checked once. A path below the tree is resolved from the nearest fixed directory, so no name above it can lead a
 * system call elsewhere, even if another process replaces such a name later. `files.ts` and `stat.ts` ask this file for
 * every path that they get. Calls that take only paths (mount(2), xattrs) get the path unchanged.
 */
import { AT_FDCWD, libc, type PathBytes } from './libc.ts';

/** A directory and a name in it, for the `*at` calls. */
export type AnchoredName = readonly [dirfd: number, name: PathBytes];

export interface AnchoredTree {
  /** An absolute path, clean, without a slash at its end. */
  readonly root: string;
  /** Directories below it, as paths from there, at most two names long: `meta`, `meta/images`. */
  readonly fixed: ReadonlySet<string>;
  /**
   * Opens a fixed directory, or the root (`''`), and throws what is wrong with it. The anchor closes the descriptor.
   */
  readonly open: (directory: string) => number;
}

const anchors: Anchor[] = [];

/**
 * Anchors a tree until the result is disposed of. Replaces an earlier tree with the same root. @throws what `open`
 * throws
 */
export function anchorTree(tree: AnchoredTree): Disposable {
  letGoOf(tree.root);
  const anchor = new Anchor(tree);
  anchors.push(anchor);
  return { [Symbol.dispose]: () => remove(anchor) };
}

/** Closes the open directories of the tree at `root`: an open directory keeps its filesystem from being unmounted. */
export function letGoOf(root: string): void {
  for (const anchor of [...anchors]) if (anchor.root === root) remove(anchor);
}

function remove(anchor: Anchor): void {
  anchor.close();
  const at = anchors.indexOf(anchor);
  if (at >= 0) anchors.splice(at, 1);
}

/** The directory and name for a call that makes, removes or changes the name `path`. */
export function anchoredName(dirfd: number, path: PathBytes): AnchoredName {
  return anchored(dirfd, path, false);
}

/** The directory and name for a call that looks at or opens `path`. For a fixed directory: its open descriptor. */
export function anchoredTarget(dirfd: number, path: PathBytes): AnchoredName {
  return anchored(dirfd, path, true);
}

function anchored(dirfd: number, path: PathBytes, toOpen: boolean): AnchoredName {
  if (dirfd === AT_FDCWD && typeof path === 'string')
    for (const anchor of anchors) {
      const found = anchor.find(path, toOpen);
      if (found !== undefined) return found;
    }
  return [dirfd, path];
}

class Anchor {
  readonly root: string;
  readonly #tree: AnchoredTree;
  readonly #prefix: string;
  readonly #open = new Map<string, number>();

  constructor(tree: AnchoredTree) {
    this.root = tree.root;
    this.#tree = tree;
    this.#prefix = `${tree.root}/`;
    this.#directory('');
  }

  find(path: string, toOpen: boolean): AnchoredName | undefined {
    if (!path.startsWith(this.#prefix))
      return toOpen && path === this.root ? [this.#directory(''), '.'] : undefined;
    const below = path.slice(this.#prefix.length);
    const first = below.indexOf('/');
    const second = first < 0 ? -1 : below.indexOf('/', first + 1);
    // The longest fixed directory that the path names or leads through.
    for (const end of [below.length, second, first]) {
      if (end < 0 || (end === below.length && !toOpen)) continue;
      const directory = below.slice(0, end);
      if (!this.#tree.fixed.has(directory)) continue;
      return [this.#directory(directory), end === below.length ? '.' : below.slice(end + 1)];
    }
    return [this.#directory(''), below];
  }

  #directory(name: string): number {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const fd = this.#tree.open(name);
    this.#open.set(name, fd);
    return fd;
  }

  close(): void {
    for (const fd of this.#open.values()) libc.close(fd);
    this.#open.clear();
  }
}
