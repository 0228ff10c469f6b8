/**
 * The map of a sparse file's data, in all forms of GNU tar: in its old header (type `S`), in PAX records (0.0, 0.1) and
 * in front of the content (1.0). Read and checked as in Go's archive/tar.
 */
import { MiB } from '../../base/limits.ts';
import { BLOCK, type Field, numberField } from './fields.ts';
import { BadHeader, decimal, type PaxSparse } from './pax.ts';

/** Offset and length of each piece of data, in turn: `[0, 5, 4096, 2]`. The offsets ascend, and no pieces overlap. */
export type SparseRegions = readonly number[];

/** Size limit for a map that comes in blocks: the same as for other extended headers, and as in Go 1.25. */
const MAX_MAP_BYTES = MiB;

/** The block size of the filesystem (the default of XFS and ext4). Even a single byte of data takes a whole block. */
const DISK_BLOCK = 4096;

/** `none`: the records do not describe a sparse file. */
export type PaxForm = '0' | '1.0' | 'none' | 'unknown';

/** The form of the map. Versions 0.0 and 0.1 had no version records at first. */
export function paxForm({ major, minor, map }: PaxSparse): PaxForm {
  if (major === '0' && (minor === '0' || minor === '1')) return '0';
  if (major === '1' && minor === '0') return '1.0';
  if ((major ?? '') !== '' || (minor ?? '') !== '') return 'unknown';
  return (map ?? '') === '' ? 'none' : '0';
}

/** The map in versions 0.0 and 0.1. @throws BadHeader */
export function regionsOfRecords({ numblocks, map }: PaxSparse): number[] {
  const texts = map === undefined || map === '' ? [] : map.split(',');
  if (texts.length !== 2 * number(numblocks ?? '')) throw new BadHeader('a sparse map of another length');
  return texts.map(number);
}

/** The size of the whole file. @returns undefined where the records do not contain it. @throws BadHeader */
export function sizeOfRecords({ size, realsize }: PaxSparse): number | undefined {
  const text = size === undefined || size === '' ? realsize : size;
  return text === undefined || text === '' ? undefined : number(text);
}

/** A map that is read block by block. */
export interface MapBlocks {
  /** Reads a block of 512 bytes. @returns true when the map is complete. @throws BadHeader */
  push(block: Buffer): boolean;
  readonly regions: SparseRegions;
  /** True when the blocks are part of the entry's content, and its size counts them. */
  readonly inContent: boolean;
}

/**
 * Version 1.0: decimal numbers, each in a line. The first is the number of pairs that follow. Padded to whole blocks.
 */
export class TextMap implements MapBlocks {
  readonly inContent = true;
  readonly regions: number[] = [];
  #text = '';
  #pairs: number | undefined;
  #bytes = 0;

  push(block: Buffer): boolean {
    this.#bytes = withinLimit(this.#bytes);
    this.#text += block.toString('latin1', 0, BLOCK);
    for (;;) {
      if (this.#pairs !== undefined && this.regions.length === 2 * this.#pairs) return true;
      const end = this.#text.indexOf('\n');
      if (end < 0) {
        if (this.#text.length > BLOCK) throw new BadHeader('a sparse map that is no list of numbers');
        return false;
      }
      const value = number(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 1);
      if (this.#pairs === undefined) this.#pairs = value;
      else this.regions.push(value);
    }
  }
}

const OLD_ENTRY = 24;
/**
 * struct sparse in the header block (tar.h of GNU tar): its offset, its number of pairs, and the offset of the flag for
 * more.
 */
const IN_HEADER = { at: 386, pairs: 4, more: 482 } as const;
const IN_EXTENSION = { at: 0, pairs: 21, more: 504 } as const;
const REAL_SIZE: Field = [483, 12];

/** The old form: four pairs in the header, the rest in blocks after it that no size counts. */
export class OldGnuMap implements MapBlocks {
  readonly inContent = false;
  readonly regions: number[] = [];
  /** Size of the file with its holes, in bytes. */
  readonly size: number;
  /** True when blocks of the map follow the header. */
  readonly extended: boolean;
  #bytes = 0;

  /** @throws BadHeader */
  constructor(header: Buffer) {
    this.size = field(header, REAL_SIZE);
    this.extended = this.#read(header, IN_HEADER);
  }

  push(block: Buffer): boolean {
    this.#bytes = withinLimit(this.#bytes);
    return !this.#read(block, IN_EXTENSION);
  }

  #read(block: Buffer, { at, pairs, more }: typeof IN_HEADER | typeof IN_EXTENSION): boolean {
    for (let i = 0; i < pairs; i += 1) {
      const start = at + i * OLD_ENTRY;
      if (block[start] === 0) break;
      this.regions.push(field(block, [start, 12]), field(block, [start + 12, 12]));
    }
    return block[more] !== 0;
  }
}

/**
 * @param size size of the whole file
 * @param content number of its bytes in the archive
 * @throws BadHeader for regions that overlap, lie beyond the end, or differ in sum from the content
 */
export function checkRegions(regions: SparseRegions, size: number, content: number): void {
  let end = 0;
  let data = 0;
  for (let i = 0; i < regions.length; i += 2) {
    const [offset = 0, length = 0] = [regions[i], regions[i + 1]];
    if (offset < end || offset + length > size) throw new BadHeader('a sparse map that is out of order');
    end = offset + length;
    data += length;
  }
  if (data !== content) throw new BadHeader('a sparse map of more or less data than there is');
}

/** Sum of all pieces of data, in bytes. */
export function dataBytes(regions: SparseRegions): number {
  let bytes = 0;
  for (let i = 1; i < regions.length; i += 2) bytes += regions[i] ?? 0;
  return bytes;
}

/** Bytes that the data takes on the disk: whole blocks, except at the end of the file. */
export function storedBytes(regions: SparseRegions, size: number): number {
  let blocks = 0;
  let next = 0;
  for (let i = 0; i < regions.length; i += 2) {
    const [offset = 0, length = 0] = [regions[i], regions[i + 1]];
    if (length === 0) continue;
    const first = Math.max(next, Math.floor(offset / DISK_BLOCK));
    next = Math.ceil((offset + length) / DISK_BLOCK);
    blocks += Math.max(0, next - first);
  }
  return Math.min(size, blocks * DISK_BLOCK);
}

function withinLimit(before: number): number {
  if (before + BLOCK > MAX_MAP_BYTES) throw new BadHeader(`a sparse map of more than ${MAX_MAP_BYTES} bytes`);
  return before + BLOCK;
}

function number(text: string): number {
  const value = decimal(text);
  if (value === undefined || value < 0) throw new BadHeader('a sparse map that is no list of numbers');
  return value;
}

function field(block: Buffer, at: Field): number {
  const value = numberField(block, at);
  if (value === undefined || value < 0 || !Number.isSafeInteger(value))
    throw new BadHeader('a sparse map that is no list of numbers');
  return value;
}
