/** The names of a layer that is being written: removal, links between names, and the way of a path through symbolic links. */
import { Column } from './columns.ts';
import { FILE_TYPE, type FileType } from './format.ts';
import type { Place } from './inode-groups.ts';
import type { NameTree } from './name-tree.ts';
import { type DirectoryNumber, type EntryNumber, ROOT } from './numbers.ts';

/** The kernel's own limit (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Components of one way that cost nothing: no honest path has so many. Each longer way is paid for with looks at names, each
 * for some microseconds of work: else a few bytes of archive for an entry could be thousands of searches.
 */
const FREE_COMPONENTS = 64;
const COMPONENTS_PER_LOOK = 16;

export interface Walk {
  /** The error for more than MAX_LINKS links. */
  readonly refuse: () => Error;
  /** Makes a directory, or returns undefined to end the way. `isTaken`: another file has the name. */
  readonly missing: (at: DirectoryNumber, name: string, isTaken: boolean) => DirectoryNumber | undefined;
}

export class LayerNames {
  readonly #tree: NameTree;
  readonly #look: () => void;
  #unpaid = 0;
  /** Inodes that have got a second name. */
  readonly #shared = new Set<Place>();
  readonly #targets = new Map<EntryNumber, string>();
  /** Of each directory, the first directory in it, and the next one in the same directory; 0 ends the list. */
  readonly #firstIn = new Column(Uint32Array);
  readonly #next = new Column(Uint32Array);
  /** Numbers of files other than directories, and of directories. */
  readonly #files = new Column(Uint32Array);
  readonly #directories = new Column(Uint32Array);
  /** The way that was gone last; most entries follow others of their directory. */
  #last: { path: string; directory: DirectoryNumber } | undefined;

  /** @param look takes a look from the layer's budget, and throws when there is none left */
  constructor(tree: NameTree, look: () => void) {
    this.#tree = tree;
    this.#look = look;
    this.#grow();
  }

  get shared(): Place[] {
    return [...this.#shared];
  }

  *all(): Generator<EntryNumber> {
    for (let number = 0; number < this.#tree.length; number += 1)
      if (this.#tree.isThere(number as EntryNumber)) yield number as EntryNumber;
  }

  files(directory: DirectoryNumber): number {
    return this.#files.get(directory);
  }

  isEmpty(directory: DirectoryNumber): boolean {
    return this.files(directory) + this.#directories.get(directory) === 0;
  }

  /** The directory with that name in `parent`. */
  child(parent: DirectoryNumber, name: string): DirectoryNumber | undefined {
    const entry = this.#tree.find(parent, name);
    if (entry === undefined || this.#tree.type(entry) !== FILE_TYPE.directory) return undefined;
    return this.#tree.directory(entry);
  }

  *directoriesIn(directory: DirectoryNumber): Generator<DirectoryNumber> {
    for (let at = this.#firstIn.get(directory); at !== 0; at = this.#next.get(at))
      if (!this.#tree.directories.isGone(at as DirectoryNumber)) yield at as DirectoryNumber;
  }

  /** The path of a directory below the root, without links in it; `''` is the root. */
  path(directory: DirectoryNumber): string {
    const names: string[] = [];
    for (let at = directory; at !== ROOT; at = this.#tree.directories.above(at)) {
      const name = this.#tree.name(this.#tree.directories.entry(at));
      names.push(Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1'));
    }
    this.#pay(names.length - FREE_COMPONENTS);
    return names.reverse().join('/');
  }

  #pay(components: number): void {
    if (components <= 0) return;
    this.#unpaid += components;
    for (; this.#unpaid >= COMPONENTS_PER_LOOK; this.#unpaid -= COMPONENTS_PER_LOOK) this.#look();
  }

  /** The name is free. @param target of a symbolic link */
  put(parent: DirectoryNumber, name: string, type: FileType, place: Place, target?: string): void {
    const entry = this.#tree.add(parent, name, type, place);
    this.#files.set(parent, this.#files.get(parent) + 1);
    if (target === undefined) return;
    this.#targets.set(entry, target);
    this.#last = undefined;
  }

  /** The inode may have several names. */
  share(place: Place): void {
    this.#shared.add(place);
  }

  /** A further name for the inode of `of`. The name is free. */
  link(parent: DirectoryNumber, name: string, of: EntryNumber): void {
    const place = this.#tree.place(of);
    this.share(place);
    this.put(parent, name, this.#tree.type(of), place, this.#targets.get(of));
  }

  addDirectory(parent: DirectoryNumber, name: string): DirectoryNumber {
    const directory = this.#tree.addDirectory(parent, name);
    this.#grow();
    this.#next.set(directory, this.#firstIn.get(parent));
    this.#firstIn.set(parent, directory);
    this.#directories.set(parent, this.#directories.get(parent) + 1);
    return directory;
  }

  /** Removes a name, with everything in it; `removed` is called for each directory, those above first. */
  remove(entry: EntryNumber, removed: (directory: DirectoryNumber) => void): void {
    const parent = this.#tree.parent(entry);
    this.#last = undefined;
    this.#targets.delete(entry);
    if (this.#tree.type(entry) !== FILE_TYPE.directory) {
      this.#files.set(parent, this.#files.get(parent) - 1);
      this.#tree.remove(entry);
      return;
    }
    const todo = [this.#tree.directory(entry)];
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      todo.push(...this.directoriesIn(at));
      removed(at);
      this.#tree.directories.remove(at);
    }
    this.#directories.set(parent, this.#directories.get(parent) - 1);
    this.#tree.remove(entry);
  }

  /** Goes along a path, through symbolic links and never above the root. */
  walk(path: string, walk: Walk): DirectoryNumber | undefined {
    if (this.#last?.path === path) return this.#last.directory;
    let at = ROOT;
    let links = 0;
    let passed = 0;
    const rest = components(path);
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      passed += 1;
      if (passed > FREE_COMPONENTS) this.#pay(1);
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at = this.#tree.directories.above(at);
        continue;
      }
      const entry = this.#tree.find(at, name);
      const target = entry === undefined ? undefined : this.#targets.get(entry);
      if (target !== undefined) {
        links += 1;
        if (links > MAX_LINKS) throw walk.refuse();
        if (target.startsWith('/')) at = ROOT;
        rest.push(...components(target));
        continue;
      }
      const next = this.child(at, name) ?? walk.missing(at, name, entry !== undefined);
      if (next === undefined) return undefined;
      at = next;
    }
    this.#last = { path, directory: at };
    return at;
  }

  #grow(): void {
    for (const column of [this.#firstIn, this.#next, this.#files, this.#directories]) column.push(0);
  }
}

/** The last component first. */
function components(path: string): string[] {
  return path === '' ? [] : path.split('/').reverse();
}
