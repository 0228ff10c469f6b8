/** The open directories of one tree, found by their own path and by paths that lead to them through symbolic links. */
import type { Directory } from './directory.ts';

/** How many directories stay open. The entries of an archive come in the order of a tree, so few are enough. */
const MAX_OPEN = 48;
const MAX_ALIASES = 8;

export class DirectoryCache {
  /** In the order of last use, the latest last. */
  readonly #open = new Map<string, Directory>();
  readonly #aliases = new Map<string, Directory>();
  readonly #root: Directory;
  #last: Directory | undefined;
  #grown = 0;

  constructor(root: Directory) {
    this.#root = root;
  }

  /** Blocks of 512 bytes by which the directories released so far have grown. */
  get grownBlocks(): number {
    return this.#grown;
  }

  /** Finds a directory by a path that may lead through links. The directory becomes the last used one. */
  byName(path: string): Directory | undefined {
    const known = path === '' ? this.#root : this.#aliases.get(path);
    return known === undefined ? undefined : this.#use(known);
  }

  /** Finds a directory by its own path, without links. */
  byPath(path: string): Directory | undefined {
    const known = path === '' ? this.#root : this.#open.get(path);
    return known === undefined ? undefined : this.#use(known);
  }

  #use(directory: Directory): Directory {
    if (directory === this.#last || directory === this.#root) return directory;
    this.#open.delete(directory.path);
    this.#open.set(directory.path, directory);
    this.#last = directory;
    return directory;
  }

  /** Adds a newly opened directory. When too many are open, releases the one that was not used for longest. */
  add(directory: Directory): Directory {
    this.#open.set(directory.path, directory);
    this.#last = directory;
    this.addName(directory.path, directory);
    if (this.#open.size > MAX_OPEN) this.#releaseOldest(directory);
    return directory;
  }

  addName(path: string, directory: Directory): void {
    if (path === '' || this.#aliases.get(path) === directory) return;
    if (directory.aliases.length >= MAX_ALIASES) return;
    this.#aliases.set(path, directory);
    directory.aliases.push(path);
  }

  /** Forgets all paths that led through links: a link was removed, or a new one changes where a path leads. */
  forgetNames(): void {
    this.#aliases.clear();
    this.#root.aliases.length = 0;
    for (const directory of this.#open.values()) {
      directory.aliases.length = 0;
      this.addName(directory.path, directory);
    }
  }

  /** Releases the directory at `path` and all below it, before that tree is removed. */
  releaseTree(path: string): void {
    this.forgetNames();
    for (const directory of [...this.#open.values()]) {
      if (directory.path === path || directory.path.startsWith(`${path}/`)) this.#release(directory);
    }
  }

  releaseAll(): void {
    for (const directory of [...this.#open.values()]) this.#release(directory);
    this.#grown += this.#root.release();
  }

  abandonAll(): void {
    for (const directory of this.#open.values()) directory.abandon();
    this.#open.clear();
    this.#aliases.clear();
    this.#root.abandon();
  }

  #releaseOldest(newest: Directory): void {
    for (const directory of this.#open.values()) {
      if (directory.pinned || directory === newest) continue;
      this.#release(directory);
      return;
    }
  }

  #release(directory: Directory): void {
    this.#open.delete(directory.path);
    for (const alias of directory.aliases) {
      if (this.#aliases.get(alias) === directory) this.#aliases.delete(alias);
    }
    if (this.#last === directory) this.#last = undefined;
    this.#grown += directory.release();
  }
}
