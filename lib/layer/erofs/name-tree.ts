/**
 * The names of an image and its directories, packed into columns: they are all that stays in memory until the end, about
 * 20 bytes and the name for each, and 60 more for a directory. The content of files and their inodes are written by then.
 */
import { Column, Names } from './columns.ts';
import { type Attributes, FILE_TYPE, type FileType } from './format.ts';
import type { Place } from './inode-groups.ts';

/** The number of a directory, in the order in which they were made; the root is 0. */
export type DirectoryNumber = number & { readonly __brand: 'DirectoryNumber' };
export const ROOT = 0 as DirectoryNumber;

const NO_XATTRS = new Uint8Array(0);

export class NameTree {
  readonly #names = new Names();
  readonly #nameAt = new Column(Uint32Array);
  readonly #nameLength = new Column(Uint8Array);
  readonly #type = new Column(Uint8Array);
  readonly #parent = new Column(Uint32Array);
  /** The place of an inode, or the number of a directory. */
  readonly #target = new Column(Uint32Array);

  readonly #above = new Column(Uint32Array);
  readonly #mode = new Column(Uint16Array);
  readonly #uid = new Column(Uint32Array);
  readonly #gid = new Column(Uint32Array);
  readonly #seconds = new Column(Float64Array);
  readonly #nanoseconds = new Column(Uint32Array);
  /** Directories with extended attributes are few. */
  readonly #xattrs = new Map<DirectoryNumber, Uint8Array>();

  constructor() {
    this.#directory(ROOT);
  }

  get length(): number {
    return this.#nameAt.length;
  }

  get directories(): number {
    return this.#above.length;
  }

  /** Adds a name for an inode. The name is not in the directory yet. */
  add(parent: DirectoryNumber, name: string, type: FileType, place: Place): void {
    this.#name(parent, name, type, place);
  }

  addDirectory(parent: DirectoryNumber, name: string): DirectoryNumber {
    const number = this.#directory(parent);
    this.#name(parent, name, FILE_TYPE.directory, number);
    return number;
  }

  #name(parent: DirectoryNumber, name: string, type: FileType, target: number): void {
    this.#nameAt.push(this.#names.add(name));
    this.#nameLength.push(name.length);
    this.#type.push(type);
    this.#parent.push(parent);
    this.#target.push(target);
  }

  #directory(above: DirectoryNumber): DirectoryNumber {
    this.#above.push(above);
    for (const column of [this.#mode, this.#uid, this.#gid, this.#seconds, this.#nanoseconds]) column.push(0);
    return (this.#above.length - 1) as DirectoryNumber;
  }

  setAttributes(directory: DirectoryNumber, { mode, uid, gid, mtime, xattrs }: Attributes): void {
    this.#mode.set(directory, mode);
    this.#uid.set(directory, uid);
    this.#gid.set(directory, gid);
    this.#seconds.set(directory, mtime.sec);
    this.#nanoseconds.set(directory, mtime.nsec);
    if (xattrs.length > 0) this.#xattrs.set(directory, xattrs);
    else this.#xattrs.delete(directory);
  }

  attributes(directory: DirectoryNumber): Attributes {
    return {
      mode: this.#mode.get(directory),
      uid: this.#uid.get(directory),
      gid: this.#gid.get(directory),
      mtime: { sec: this.#seconds.get(directory), nsec: this.#nanoseconds.get(directory) },
      xattrs: this.#xattrs.get(directory) ?? NO_XATTRS,
    };
  }

  /** The directory that `..` names; the root's is the root. */
  above(directory: DirectoryNumber): DirectoryNumber {
    return this.#above.get(directory) as DirectoryNumber;
  }

  parent(entry: number): DirectoryNumber {
    return this.#parent.get(entry) as DirectoryNumber;
  }
  type(entry: number): FileType {
    return this.#type.get(entry) as FileType;
  }
  nameLength(entry: number): number {
    return this.#nameLength.get(entry);
  }
  name(entry: number): Uint8Array {
    return this.#names.bytes(this.#nameAt.get(entry), this.#nameLength.get(entry));
  }
  /** Only for an entry that is no directory. */
  place(entry: number): Place {
    return this.#target.get(entry) as Place;
  }
  /** Only for an entry that is a directory. */
  directory(entry: number): DirectoryNumber {
    return this.#target.get(entry) as DirectoryNumber;
  }

  /** The order of two entries by the bytes of their names. */
  readonly compare = (a: number, b: number): number =>
    this.#names.compare(this.#nameAt.get(a), this.nameLength(a), this.#nameAt.get(b), this.nameLength(b));
}
