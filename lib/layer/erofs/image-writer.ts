/**
 * An EROFS image written in one pass: content goes out as it comes, inodes are packed between the content of files
 * (`InodeGroups`), directories follow at the end (`Directories`), and block 0 with the superblock and the root's inode is
 * written last. So a file that is not finished is no image. Nothing is compressed. The same calls give the same bytes.
 */
import { Directories } from './directories.ts';
import {
  type Attributes,
  BLOCK,
  FILE_TYPE,
  INODE,
  LAYOUT,
  ROOT_AT,
  writeInode,
  writeSuperblock,
} from './format.ts';
import { ImageFile } from './image-file.ts';
import type { HashedFile } from './image-hash.ts';
import { InodeGroups, type Place } from './inode-groups.ts';
import { NameTree } from './name-tree.ts';

/** Most bytes of attributes of the root, whose inode lies in block 0. */
export const MAX_ROOT_XATTRS = BLOCK - ROOT_AT - INODE;
const NOTHING = new Uint8Array(0);

/**
 * A UUID of the form that RFC 9562 leaves to others (version 8), made of all bytes: the same image gets the same one.
 * overlayfs shows a stack as one filesystem only where each of its filesystems has a UUID, and another than the others.
 */
function uuidOf(first: Uint8Array, rest: string): Uint8Array {
  const seed = BigInt(`0x${rest}`);
  const words = new BigUint64Array([
    Bun.hash.xxHash64(first, seed),
    Bun.hash.xxHash64(first, BigInt.asUintN(64, ~seed)),
  ]);
  const uuid = new Uint8Array(words.buffer);
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}

export interface WrittenImage extends HashedFile {
  /** Bytes that are no holes. */
  readonly diskBytes: number;
}

export class ImageWriter implements Disposable {
  /** The names; the caller adds one for each inode. */
  readonly tree = new NameTree();
  readonly #file: ImageFile;
  readonly #groups: InodeGroups;
  #inos = 0;
  /** The rest of the content, the part of it that goes into blocks, and where the end goes behind the inode. */
  #left = 0;
  #toBlocks = 0;
  #tail: { bytes: Uint8Array; at: number } = { bytes: NOTHING, at: 0 };

  /** @param path must not exist. @throws SysError, as all that follow */
  constructor(path: string, mode: number) {
    this.#file = new ImageFile(path, mode);
    this.#groups = new InodeGroups(this.#file);
    this.#file.append(new Uint8Array(BLOCK));
  }

  /** Begins a file. Exactly `size` bytes have to come by `content` and `hole`, and then `endOfFile`. */
  file(attributes: Attributes, size: number): Place {
    const head = INODE + attributes.xattrs.length;
    const end = size % BLOCK;
    const isInline = end > 0 && head + end <= BLOCK;
    const place = this.#groups.allocate(head + (isInline ? end : 0));
    this.#left = size;
    this.#toBlocks = size - (isInline ? end : 0);
    const { bytes, at } = this.#groups.open(place);
    const tailAt = writeInode(bytes, at, {
      ...attributes,
      type: FILE_TYPE.file,
      size,
      layout: isInline ? LAYOUT.inline : LAYOUT.plain,
      block: this.#toBlocks > 0 ? this.#file.offset / BLOCK : 0,
      links: 1,
      ino: this.#nextIno(),
    });
    this.#tail = { bytes, at: tailAt };
    return place;
  }

  content(bytes: Uint8Array): void {
    this.#take(bytes.length);
    const inBlocks = Math.min(bytes.length, this.#toBlocks);
    this.#file.append(inBlocks === bytes.length ? bytes : bytes.subarray(0, inBlocks));
    this.#toBlocks -= inBlocks;
    if (inBlocks === bytes.length) return;
    const rest = bytes.subarray(inBlocks);
    this.#tail.bytes.set(rest, this.#tail.at);
    this.#tail.at += rest.length;
  }

  /** Zeros of the file, which take no disk where they are whole blocks. */
  hole(length: number): void {
    this.#take(length);
    const inBlocks = Math.min(length, this.#toBlocks);
    this.#file.zeros(inBlocks);
    this.#toBlocks -= inBlocks;
    this.#tail.at += length - inBlocks;
  }

  endOfFile(): void {
    if (this.#left !== 0) throw new Error('a file has less content than its inode says');
    this.#file.pad();
  }

  /** More content than the inode says would go over the inodes behind it. */
  #take(length: number): void {
    if (length > this.#left) throw new Error('a file has more content than its inode says');
    this.#left -= length;
  }

  symlink(attributes: Attributes, target: Uint8Array): Place {
    const head = INODE + attributes.xattrs.length;
    const isInline = head + target.length <= BLOCK;
    // The kernel reads a long target as it reads a file.
    const block = isInline ? 0 : this.#file.offset / BLOCK;
    if (!isInline) {
      this.#file.append(target);
      this.#file.pad();
    }
    const place = this.#groups.allocate(head + (isInline ? target.length : 0));
    const { bytes, at } = this.#groups.open(place);
    const layout = isInline ? LAYOUT.inline : LAYOUT.plain;
    const common = { type: FILE_TYPE.symlink, size: target.length, links: 1, ino: this.#nextIno() };
    const end = writeInode(bytes, at, { ...attributes, ...common, layout, block });
    if (isInline) bytes.set(target, end);
    return place;
  }

  /** A FIFO, or a whiteout: the character device 0:0. */
  node(attributes: Attributes, type: typeof FILE_TYPE.fifo | typeof FILE_TYPE.character): Place {
    const place = this.#groups.allocate(INODE + attributes.xattrs.length);
    const { bytes, at } = this.#groups.open(place);
    const common = { type, size: 0, layout: LAYOUT.plain, block: 0, links: 1, ino: this.#nextIno() };
    writeInode(bytes, at, { ...attributes, ...common });
    return place;
  }

  /** The number of an inode's names, where there are several. */
  setLinks(place: Place, links: number): void {
    this.#groups.setLinks(place, links);
  }

  /** Writes the directories and the superblock; the caller syncs the file. */
  finish(): WrittenImage {
    this.#groups.flush();
    const directories = new Directories(this.#file, this.#groups, this.tree, this.#inos);
    const root = directories.write();
    const blocks = this.#file.offset / BLOCK;
    this.#file.end();
    this.#groups.patchLinks();
    const first = new Uint8Array(BLOCK);
    writeInode(first, ROOT_AT, root);
    const uuid = uuidOf(first, this.#file.hashed().hash);
    writeSuperblock(first, { inodes: directories.inos, blocks, uuid });
    this.#file.patch(0, first);
    return { ...this.#file.hashed(), diskBytes: this.#file.diskBytes };
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #nextIno(): number {
    this.#inos += 1;
    return this.#inos;
  }
}
