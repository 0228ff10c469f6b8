/**
 * Inodes, with their attributes and the ends of their files, packed into blocks. An inode with the end of its file must not
 * cross a block (fs/erofs/data.c), so they are packed best-fit into a group of blocks, which goes out between the content
 * of two files when it is full. Until then the address of its inodes is open, and a place stands for it.
 */
import { BLOCK, LINKS_AT, SLOT } from './format.ts';
import type { ImageFile } from './image-file.ts';

/** Blocks of a group: the more, the less room is lost; all are in memory. */
const BLOCKS = 64;
const PLACES = (BLOCKS * BLOCK) / SLOT;

/** Where an inode lies: the number of its group and the slot in it, as one number below 2^32. */
export type Place = number & { readonly __brand: 'Place' };
const MAX_GROUPS = 2 ** 32 / PLACES;

export class InodeGroups {
  readonly #file: ImageFile;
  #bytes = new Uint8Array(BLOCKS * BLOCK);
  /** Bytes in use of each block. */
  readonly #used = new Uint16Array(BLOCKS);
  #opened = 0;
  /** Offset of each group that is written. */
  readonly #offsets: number[] = [];
  readonly #links = new Map<Place, number>();

  constructor(file: ImageFile) {
    this.#file = file;
  }

  /** A place for `size` bytes in one block, or, for more than a block has, from the start of a block on. Between two files. */
  allocate(size: number): Place {
    if (size > BLOCK) return this.#allocateLarge(size);
    const need = size + ((SLOT - (size % SLOT)) % SLOT);
    let block = this.#bestFit(need);
    if (block === undefined) {
      if (this.#opened >= BLOCKS) this.flush();
      block = this.#opened;
      this.#opened += 1;
      this.#used[block] = 0;
    }
    const at = block * BLOCK + (this.#used[block] ?? 0);
    this.#used[block] = at - block * BLOCK + need;
    return this.#place(at);
  }

  #bestFit(need: number): number | undefined {
    let best: number | undefined;
    let bestLeft = BLOCK + 1;
    for (let block = 0; block < Math.min(this.#opened, BLOCKS); block += 1) {
      const left = BLOCK - (this.#used[block] ?? 0);
      if (left < need || left >= bestLeft) continue;
      best = block;
      bestLeft = left;
    }
    return best;
  }

  /** A group of its own, since only the attributes of an inode may cross blocks. */
  #allocateLarge(size: number): Place {
    this.flush();
    this.#opened = Math.ceil(size / BLOCK);
    if (this.#opened > BLOCKS) this.#bytes = new Uint8Array(this.#opened * BLOCK);
    this.#used.fill(BLOCK);
    return this.#place(0);
  }

  #place(at: number): Place {
    if (this.#offsets.length >= MAX_GROUPS) throw new RangeError('the image has too many inodes');
    return (this.#offsets.length * PLACES + at / SLOT) as Place;
  }

  /** The bytes of the group that is open, and the offset of a place in it. */
  open(place: Place): { bytes: Uint8Array; at: number } {
    if (Math.floor(place / PLACES) !== this.#offsets.length)
      throw new Error('the group of an inode is written');
    return { bytes: this.#bytes, at: (place % PLACES) * SLOT };
  }

  /** The inode's number. Only after the group is written. */
  nid(place: Place): number {
    const offset = this.#offsets[Math.floor(place / PLACES)];
    if (offset === undefined) throw new Error('the group of an inode is not written');
    return offset / SLOT + (place % PLACES);
  }

  /** Changes the number of an inode's names, which was written as 1. In a written group it is changed by `patchLinks`. */
  setLinks(place: Place, links: number): void {
    if (Math.floor(place / PLACES) === this.#offsets.length) {
      const { bytes, at } = this.open(place);
      bytes.set(littleEndian(links), at + LINKS_AT);
    } else this.#links.set(place, links);
  }

  /** Changes written inodes in the file, which has ended. */
  patchLinks(): void {
    for (const [place, links] of this.#links)
      this.#file.patch(this.nid(place) * SLOT + LINKS_AT, littleEndian(links));
  }

  /** Writes the open group. Between two files. */
  flush(): void {
    if (this.#opened === 0) return;
    this.#offsets.push(this.#file.offset);
    const bytes = this.#bytes.subarray(0, this.#opened * BLOCK);
    this.#file.append(bytes);
    if (this.#opened > BLOCKS) this.#bytes = new Uint8Array(BLOCKS * BLOCK);
    else bytes.fill(0);
    this.#opened = 0;
  }
}

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
