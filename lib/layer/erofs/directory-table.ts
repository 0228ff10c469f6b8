/** The directories of an image: their attributes, the directory above each, and the entry that names it. */
import { Column } from './columns.ts';
import type { Attributes } from './format.ts';
import { type DirectoryNumber, type EntryNumber, ROOT } from './numbers.ts';

const NO_XATTRS = new Uint8Array(0);

export class DirectoryTable {
  readonly #above = new Column(Uint32Array);
  readonly #entry = new Column(Uint32Array);
  readonly #isGone = new Column(Uint8Array);
  readonly #mode = new Column(Uint16Array);
  readonly #uid = new Column(Uint32Array);
  readonly #gid = new Column(Uint32Array);
  readonly #seconds = new Column(Float64Array);
  readonly #nanoseconds = new Column(Uint32Array);
  /** Directories with extended attributes are few. */
  readonly #xattrs = new Map<DirectoryNumber, Uint8Array>();

  constructor() {
    this.add(ROOT);
  }

  get length(): number {
    return this.#above.length;
  }

  add(above: DirectoryNumber): DirectoryNumber {
    this.#above.push(above);
    for (const column of [
      this.#entry,
      this.#isGone,
      this.#mode,
      this.#uid,
      this.#gid,
      this.#seconds,
      this.#nanoseconds,
    ])
      column.push(0);
    return (this.length - 1) as DirectoryNumber;
  }

  set(directory: DirectoryNumber, { mode, uid, gid, mtime, xattrs }: Attributes): void {
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

  /** The entry that names a directory other than the root. */
  entry(directory: DirectoryNumber): EntryNumber {
    return this.#entry.get(directory) as EntryNumber;
  }

  setEntry(directory: DirectoryNumber, entry: EntryNumber): void {
    this.#entry.set(directory, entry);
  }

  /** Marks a directory that was removed. */
  remove(directory: DirectoryNumber): void {
    this.#isGone.set(directory, 1);
  }

  isGone(directory: DirectoryNumber): boolean {
    return this.#isGone.get(directory) === 1;
  }
}
