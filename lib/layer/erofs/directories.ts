/**
 * Writes the directories of an image, which come last: first the blocks of all of them, then their inodes with the ends of
 * their listings, except the root's inode. A directory block has entries of 12 bytes (struct erofs_dirent) and behind them
 * the names; the offset of the first name tells the number of entries. The unused end of a block is zeros.
 */

import { BLOCK, FILE_TYPE, INODE, type Inode, LAYOUT, ROOT_AT, SLOT, writeInode } from './format.ts';
import type { ImageFile } from './image-file.ts';
import type { InodeGroups } from './inode-groups.ts';
import { Listing } from './listing.ts';
import type { NameTree } from './name-tree.ts';
import { type DirectoryNumber, type EntryNumber, ROOT } from './numbers.ts';

/** Size of struct erofs_dirent. */
const ENTRY = 12;

export class Directories {
  readonly #file: ImageFile;
  readonly #groups: InodeGroups;
  readonly #tree: NameTree;
  readonly #listing: Listing;
  /** Bytes of each listing, and where it and the inode go. */
  readonly #size: Uint32Array;
  readonly #block: Uint32Array;
  readonly #inodeAt: Float64Array;
  readonly #scratch = new Uint8Array(BLOCK);
  /** An inode with what lies behind it; attributes may be longer than a block. */
  #inodeScratch = new Uint8Array(BLOCK);
  #inos: number;

  /** @param inos how many inodes are written */
  constructor(file: ImageFile, groups: InodeGroups, tree: NameTree, inos: number) {
    this.#file = file;
    this.#groups = groups;
    this.#tree = tree;
    this.#listing = new Listing(tree);
    this.#inos = inos;
    const { length } = tree.directories;
    this.#size = new Uint32Array(length);
    this.#block = new Uint32Array(length);
    this.#inodeAt = new Float64Array(length);
  }

  get inos(): number {
    return this.#inos;
  }

  /** At the start of a block, with all other inodes written. @returns the root's inode, for block 0 */
  write(): Inode {
    this.#place();
    for (const directory of this.#all()) this.#writeBlocks(directory);
    const root = this.#inode(ROOT);
    for (const directory of this.#all()) if (directory !== ROOT) this.#writeInode(directory);
    this.#file.pad();
    return root;
  }

  *#all(): Generator<DirectoryNumber> {
    const { directories } = this.#tree;
    for (let number = 0; number < directories.length; number += 1)
      if (!directories.isGone(number as DirectoryNumber)) yield number as DirectoryNumber;
  }

  /** The sizes decide all addresses, and the entries of a directory hold addresses of others. */
  #place(): void {
    let block = this.#file.offset / BLOCK;
    for (const directory of this.#all()) {
      this.#size[directory] = this.#measure(this.#listing.sorted(directory));
      this.#block[directory] = block;
      block += this.#blocks(directory);
    }
    let at = block * BLOCK;
    for (const directory of this.#all()) {
      if (directory === ROOT) {
        this.#inodeAt[directory] = ROOT_AT;
        continue;
      }
      const bytes = this.#inodeBytes(directory);
      if (bytes > BLOCK - (at % BLOCK)) at += (BLOCK - (at % BLOCK)) % BLOCK;
      this.#inodeAt[directory] = at;
      at += bytes;
    }
  }

  #measure(entries: Uint32Array): number {
    let whole = 0;
    let used = 0;
    for (const entry of entries) {
      const need = ENTRY + this.#listing.nameLength(entry);
      if (used + need > BLOCK) {
        whole += BLOCK;
        used = 0;
      }
      used += need;
    }
    return whole + used;
  }

  #sizeOf(directory: DirectoryNumber): number {
    return this.#size[directory] ?? 0;
  }

  /** Bytes of the listing that lie behind the inode: its end, where that fits. Block 0 has no room for the root's. */
  #tail(directory: DirectoryNumber): number {
    const tail = this.#sizeOf(directory) % BLOCK;
    const fits = INODE + this.#tree.directories.attributes(directory).xattrs.length + tail <= BLOCK;
    return directory !== ROOT && fits ? tail : 0;
  }

  #blocks(directory: DirectoryNumber): number {
    return Math.ceil((this.#sizeOf(directory) - this.#tail(directory)) / BLOCK);
  }

  /** Bytes of the inode with its attributes and its tail, up to the next slot. */
  #inodeBytes(directory: DirectoryNumber): number {
    const bytes = INODE + this.#tree.directories.attributes(directory).xattrs.length + this.#tail(directory);
    return Math.ceil(bytes / SLOT) * SLOT;
  }

  #writeBlocks(directory: DirectoryNumber): void {
    const entries = this.#listing.of(directory);
    let next = 0;
    for (let block = this.#blocks(directory); block > 0; block -= 1) {
      this.#scratch.fill(0);
      next = this.#writeEntries(this.#scratch, directory, entries, next);
      this.#file.append(this.#scratch);
    }
  }

  #writeInode(directory: DirectoryNumber): void {
    this.#file.zeros((this.#inodeAt[directory] ?? 0) - this.#file.offset);
    const inode = this.#inode(directory);
    const length = this.#inodeBytes(directory);
    if (length > this.#inodeScratch.length) this.#inodeScratch = new Uint8Array(length);
    const bytes = this.#inodeScratch.subarray(0, length).fill(0);
    const end = writeInode(bytes, 0, inode);
    if (inode.layout === LAYOUT.inline) {
      const entries = this.#listing.of(directory);
      this.#writeEntries(bytes.subarray(end), directory, entries, this.#firstOfTail(entries));
    }
    this.#file.append(bytes);
  }

  #inode(directory: DirectoryNumber): Inode {
    this.#inos += 1;
    return {
      ...this.#tree.directories.attributes(directory),
      type: FILE_TYPE.directory,
      size: this.#sizeOf(directory),
      layout: this.#tail(directory) > 0 ? LAYOUT.inline : LAYOUT.plain,
      block: this.#blocks(directory) > 0 ? (this.#block[directory] ?? 0) : 0,
      links: this.#listing.links(directory),
      ino: this.#inos,
    };
  }

  #firstOfTail(entries: Uint32Array): number {
    let first = 0;
    for (let next = this.#fitting(entries, 0); next < entries.length; next = this.#fitting(entries, next))
      first = next;
    return first;
  }

  /** The entry behind the last one that a block holds. */
  #fitting(entries: Uint32Array, from: number): number {
    let [used, next] = [0, from];
    for (; next < entries.length; next += 1) {
      used += ENTRY + this.#listing.nameLength(entries[next] ?? 0);
      if (used > BLOCK) break;
    }
    return next;
  }

  /** @returns the entry behind the last one written */
  #writeEntries(to: Uint8Array, listed: DirectoryNumber, entries: Uint32Array, from: number): number {
    const end = this.#fitting(entries, from);
    const view = new DataView(to.buffer, to.byteOffset, to.byteLength);
    let nameAt = (end - from) * ENTRY;
    for (let i = from; i < end; i += 1) {
      const entry = entries[i] ?? 0;
      const at = (i - from) * ENTRY;
      const directory = this.#listing.directoryOf(entry, listed);
      const nid =
        directory === undefined
          ? this.#groups.nid(this.#tree.place(entry as EntryNumber))
          : (this.#inodeAt[directory] ?? 0) / SLOT;
      view.setUint32(at, nid % 2 ** 32, true);
      view.setUint32(at + 4, Math.floor(nid / 2 ** 32), true);
      view.setUint16(at + 8, nameAt, true);
      to[at + 10] = directory === undefined ? this.#tree.type(entry as EntryNumber) : FILE_TYPE.directory;
      this.#listing.copyName(entry, to, nameAt);
      nameAt += this.#listing.nameLength(entry);
    }
    return end;
  }
}
