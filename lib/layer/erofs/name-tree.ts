/**
 * The names of an image and its directories, packed into columns: they are all that stays in memory until the end, about
 * 25 bytes and the name for each, and 50 more for a directory. The content of files and their inodes are written by then.
 */
import { Column, Names } from './columns.ts';
import { DirectoryTable } from './directory-table.ts';
import { FILE_TYPE, type FileType } from './format.ts';
import type { Place } from './inode-groups.ts';
import { hashOf, NameHash } from './name-hash.ts';
import type { DirectoryNumber, EntryNumber } from './numbers.ts';

/** The type of a name that was removed. */
const GONE = 0;

export class NameTree {
  readonly directories = new DirectoryTable();
  readonly #names = new Names();
  readonly #nameAt = new Column(Uint32Array);
  readonly #nameLength = new Column(Uint8Array);
  readonly #type = new Column(Uint8Array);
  readonly #parent = new Column(Uint32Array);
  /** The place of an inode, or the number of a directory. */
  readonly #target = new Column(Uint32Array);
  readonly #hash = new NameHash();

  get length(): number {
    return this.#nameAt.length;
  }

  /** The entry of a name, unless it is removed. */
  find(parent: DirectoryNumber, name: string): EntryNumber | undefined {
    const entry = this.#find(parent, name, hashOf(parent, name));
    return entry === undefined || this.#type.get(entry) === GONE ? undefined : entry;
  }

  /** Adds a name for an inode, or gives the name another inode. */
  add(parent: DirectoryNumber, name: string, type: FileType, place: Place): EntryNumber {
    return this.#set(parent, name, type, place);
  }

  /** Adds a directory, or puts a new one in the place of another file. */
  addDirectory(parent: DirectoryNumber, name: string): DirectoryNumber {
    const number = this.directories.add(parent);
    this.directories.setEntry(number, this.#set(parent, name, FILE_TYPE.directory, number));
    return number;
  }

  #set(parent: DirectoryNumber, name: string, type: FileType, target: number): EntryNumber {
    const hash = hashOf(parent, name);
    const old = this.#find(parent, name, hash);
    if (old !== undefined) {
      this.#type.set(old, type);
      this.#target.set(old, target);
      return old;
    }
    this.#nameAt.push(this.#names.add(name));
    this.#nameLength.push(name.length);
    this.#type.push(type);
    this.#parent.push(parent);
    this.#target.push(target);
    this.#hash.add(hash);
    return (this.length - 1) as EntryNumber;
  }

  #find(parent: DirectoryNumber, name: string, hash: number): EntryNumber | undefined {
    const found = this.#hash.find(
      hash,
      (entry) =>
        this.#parent.get(entry) === parent &&
        this.#names.equal(this.#nameAt.get(entry), this.#nameLength.get(entry), name),
    );
    return found as EntryNumber | undefined;
  }

  /** Removes a name; of a directory the caller also marks all directories in it as gone. */
  remove(entry: EntryNumber): void {
    this.#type.set(entry, GONE);
  }

  /** False for a name that was removed, also with a directory above it. */
  isThere(entry: EntryNumber): boolean {
    return this.#type.get(entry) !== GONE && !this.directories.isGone(this.parent(entry));
  }

  parent(entry: EntryNumber): DirectoryNumber {
    return this.#parent.get(entry) as DirectoryNumber;
  }
  type(entry: EntryNumber): FileType {
    return this.#type.get(entry) as FileType;
  }
  nameLength(entry: EntryNumber): number {
    return this.#nameLength.get(entry);
  }
  name(entry: EntryNumber): Uint8Array {
    return this.#names.bytes(this.#nameAt.get(entry), this.#nameLength.get(entry));
  }
  copyName(entry: EntryNumber, to: Uint8Array, at: number): void {
    this.#names.copy(this.#nameAt.get(entry), this.#nameLength.get(entry), to, at);
  }
  /** Only for an entry that is no directory. */
  place(entry: EntryNumber): Place {
    return this.#target.get(entry) as Place;
  }
  /** Only for an entry that is a directory. */
  directory(entry: EntryNumber): DirectoryNumber {
    return this.#target.get(entry) as DirectoryNumber;
  }

  /** The order of two entries by the bytes of their names. */
  readonly compare = (a: EntryNumber, b: EntryNumber): number =>
    this.#names.compare(this.#nameAt.get(a), this.nameLength(a), this.#nameAt.get(b), this.nameLength(b));
}
