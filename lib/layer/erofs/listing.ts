/**
 * The names of each directory in the order that the kernel searches by: bisection over the blocks and then inside one, so
 * the order of bytes over all of them (fs/erofs/namei.c). `.` and `..` are names like all others.
 */

import { FILE_TYPE } from './format.ts';
import type { NameTree } from './name-tree.ts';
import type { DirectoryNumber, EntryNumber } from './numbers.ts';

/** Entries that stand for `.` and `..`; no tree has so many names. */
const SELF = 0xffff_ffff;
const ABOVE = 0xffff_fffe;
const DOT = Buffer.from('.');
const DOTS = Buffer.from('..');

export class Listing {
  readonly #tree: NameTree;
  /** The entries of all directories; entries of one directory follow each other. */
  readonly #entries: Uint32Array;
  /** Where the entries of each directory start, and behind the last one the end. */
  readonly #starts: Uint32Array;

  constructor(tree: NameTree) {
    this.#tree = tree;
    const directories = tree.directories.length;
    this.#starts = new Uint32Array(directories + 1);
    this.#entries = new Uint32Array(tree.length + 2 * directories);
    this.#sortByParent(directories);
  }

  /** A counting sort: memory for one number an entry, and no comparison. */
  #sortByParent(directories: number): void {
    const next = new Uint32Array(directories).fill(2);
    for (let entry = 0; entry < this.#tree.length; entry += 1) {
      if (!this.#tree.isThere(entry as EntryNumber)) continue;
      const parent = this.#tree.parent(entry as EntryNumber);
      next[parent] = (next[parent] ?? 0) + 1;
    }
    let at = 0;
    for (let directory = 0; directory < directories; directory += 1) {
      this.#starts[directory] = at;
      this.#entries[at] = SELF;
      this.#entries[at + 1] = ABOVE;
      const names = next[directory] ?? 0;
      next[directory] = at + 2;
      at += names;
    }
    this.#starts[directories] = at;
    for (let entry = 0; entry < this.#tree.length; entry += 1) {
      if (!this.#tree.isThere(entry as EntryNumber)) continue;
      const parent = this.#tree.parent(entry as EntryNumber);
      const free = next[parent] ?? 0;
      this.#entries[free] = entry;
      next[parent] = free + 1;
    }
  }

  /** Sorts the names of a directory in place. @returns them */
  sorted(directory: DirectoryNumber): Uint32Array {
    return this.of(directory).sort(this.#compare);
  }

  of(directory: DirectoryNumber): Uint32Array {
    return this.#entries.subarray(this.#starts[directory], this.#starts[directory + 1]);
  }

  /** Names of the directory itself: its own, `.`, and the `..` of each directory in it. */
  links(directory: DirectoryNumber): number {
    let links = 2;
    for (const entry of this.of(directory))
      if (entry < ABOVE && this.#tree.type(entry as EntryNumber) === FILE_TYPE.directory) links += 1;
    return links;
  }

  nameLength(entry: number): number {
    if (entry >= ABOVE) return entry === SELF ? 1 : 2;
    return this.#tree.nameLength(entry as EntryNumber);
  }

  name(entry: number): Uint8Array {
    if (entry >= ABOVE) return entry === SELF ? DOT : DOTS;
    return this.#tree.name(entry as EntryNumber);
  }

  copyName(entry: number, to: Uint8Array, at: number): void {
    if (entry >= ABOVE) to.set(this.name(entry), at);
    else this.#tree.copyName(entry as EntryNumber, to, at);
  }

  /** The directory that an entry names, or undefined for another file. */
  directoryOf(entry: number, listed: DirectoryNumber): DirectoryNumber | undefined {
    if (entry === SELF) return listed;
    if (entry === ABOVE) return this.#tree.directories.above(listed);
    const own = entry as EntryNumber;
    return this.#tree.type(own) === FILE_TYPE.directory ? this.#tree.directory(own) : undefined;
  }

  readonly #compare = (a: number, b: number): number => {
    if (a < ABOVE && b < ABOVE) return this.#tree.compare(a as EntryNumber, b as EntryNumber);
    return Buffer.compare(this.name(a), this.name(b));
  };
}
