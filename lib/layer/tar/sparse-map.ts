/**
 * Where the data of a sparse file lies, in the forms that GNU tar has had for it: in its old header (type `S`), in PAX
 * records (0.0, 0.1) and in front of the content (1.0). Read and checked as Go's archive/tar does.
 */
import { MiB } from '../../base/limits.ts';
import { BLOCK, type Field, numberField } from './fields.ts';
import { BadHeader, decimal, type PaxSparse } from './pax.ts';

/** Offset and length of each piece of data, in turn: `[0, 5, 4096, 2]`. Ascending, and nothing overlaps. */
export type SparseRegions = readonly number[];

/** A map that comes in blocks. The same ceiling as for other extended headers, and the one of Go 1.25. */
const MAX_MAP_BYTES = MiB;

/** What the filesystem gives at a time (XFS and ext4 as they are made): a byte of data takes as much. */
const DISK_BLOCK = 4096;

/** `none`: the records say nothing that would make a file sparse. */
export type PaxForm = '0' | '1.0' | 'none' | 'unknown';

/** Versions 0.0 and 0.1 had no version records at first. */
export function paxForm({ major, minor, map }: PaxSparse): PaxForm {
  if (major === '0' && (minor === '0' || minor === '1')) return '0';
  if (major === '1' && minor === '0') return '1.0';
  if ((major ?? '') !== '' || (minor ?? '') !== '') return 'unknown';
  return (map ?? '') === '' ? 'none' : '0';
}

/** The map of versions 0.0 and 0.1. @throws BadHeader */
export function regionsOfRecords({ numblocks, map }: PaxSparse): number[] {
  const texts = map === undefined || map === '' ? [] : map.split(',');
  if (texts.length !== 2 * number(numblocks ?? '')) throw new BadHeader('a sparse map of another length');
  return texts.map(number);
}

/** @returns undefined where the records do not say. @throws BadHeader */
export function sizeOfRecords({ size, realsize }: PaxSparse): number | undefined {
  const text = size === undefined || size === '' ? realsize : size;
  return text === undefined || text === '' ? undefined : number(text);
}

/** A map that is read block by block. */
export interface MapBlocks {
  /** Takes a block of 512 bytes. @returns true when the map is complete. @throws BadHeader */
  push(block: Buffer): boolean;
  readonly regions: SparseRegions;
  /** The blocks lie in the entry's content, and its size counts them. */
  readonly inContent: boolean;
}

/** Version 1.0: decimal numbers, a line each, the first of them how many pairs follow; padded to whole blocks. */
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
/** struct sparse in the header block (tar.h of GNU tar): where it lies, and how many pairs it has room for. */
const IN_HEADER = { at: 386, pairs: 4, more: 482 } as const;
const IN_EXTENSION = { at: 0, pairs: 21, more: 504 } as const;
const REAL_SIZE: Field = [483, 12];

/** The old form: four pairs in the header, the rest in blocks behind it that no size counts. */
export class OldGnuMap implements MapBlocks {
  readonly inContent = false;
  readonly regions: number[] = [];
  /** Of the file with its holes, in bytes. */
  readonly size: number;
  /** Blocks follow the header. */
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
 * @param size of the whole file
 * @param content bytes that the archive has of it
 * @throws BadHeader for regions that overlap, lie beyond the end, or are more or less than the content
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

/** Bytes of all pieces of data. */
export function dataBytes(regions: SparseRegions): number {
  let bytes = 0;
  for (let i = 1; i < regions.length; i += 2) bytes += regions[i] ?? 0;
  return bytes;
}

/** Bytes of disk that the data takes, whole blocks where they are not the last. */
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
