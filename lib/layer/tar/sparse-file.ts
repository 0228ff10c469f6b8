/**
 * A sparse file of an archive. Its entry waits until the map is complete, and the map gives the offsets of the content.
 */
import type { LayerEntry } from './entry.ts';
import { BadHeader, type PaxHeader } from './pax.ts';
import {
  checkRegions,
  type MapBlocks,
  OldGnuMap,
  paxForm,
  regionsOfRecords,
  type SparseRegions,
  sizeOfRecords,
  storedBytes,
  TextMap,
} from './sparse-map.ts';

export type FileEntry = Extract<LayerEntry, { kind: 'file' }>;

/** Receives a file's bytes. `hole` is for zero bytes that need no room on the disk. */
export interface ContentSink {
  content(bytes: Uint8Array): void;
  hole?(bytes: number): void;
}

const ZEROS = new Uint8Array(64 * 1024);

export class SparseFile {
  /** The entry as in the header. Its size is that of the content in the archive. */
  readonly #entry: FileEntry;
  readonly #size: number;
  readonly #map: MapBlocks | undefined;
  #regions: SparseRegions;
  /** Size of the content without the map. */
  #contentBytes: number;
  /** Offset of the next byte in the file. */
  #position = 0;
  /**
   * Index in `#regions` of the region after the current one, and how many bytes of the current one are still to come.
   */
  #next = 0;
  #left = 0;

  /**
   * @param old the header block of an entry of type `S`, otherwise undefined
   * @throws BadHeader
   */
  constructor(entry: FileEntry, pax: PaxHeader | undefined, old: Buffer | undefined) {
    this.#entry = entry;
    this.#contentBytes = entry.size;
    if (old !== undefined) {
      const map = new OldGnuMap(old);
      this.#size = map.size;
      this.#regions = map.regions;
      this.#map = map.extended ? map : undefined;
      return;
    }
    const records = pax?.sparse ?? {};
    this.#size = sizeOfRecords(records) ?? entry.size;
    this.#map = paxForm(records) === '1.0' ? new TextMap() : undefined;
    this.#regions = this.#map === undefined ? regionsOfRecords(records) : [];
  }

  get name(): string {
    return this.#entry.name;
  }

  /** Returns true while blocks of the map come next. */
  get needsMap(): boolean {
    return this.#map !== undefined;
  }

  /** Reads a block of the map. @returns true when the map is complete. @throws BadHeader */
  mapBlock(block: Buffer): boolean {
    const map = this.#map;
    if (map === undefined) return true;
    if (map.inContent) this.#contentBytes -= block.length;
    if (this.#contentBytes < 0) throw new BadHeader('a sparse map that is longer than its entry');
    if (!map.push(block)) return false;
    this.#regions = map.regions;
    return true;
  }

  /** Number of bytes of content that follow. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** The entry of the whole file, once the map is complete. @throws BadHeader for a map that does not fit */
  entry(): FileEntry {
    const [size, data] = [this.#size, this.#contentBytes];
    checkRegions(this.#regions, size, data);
    return { ...this.#entry, size, sparse: { data, stored: storedBytes(this.#regions, size) } };
  }

  content(bytes: Uint8Array, sink: ContentSink): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left === 0) this.#nextRegion(sink);
      const part = bytes.subarray(at, at + this.#left);
      sink.content(part);
      at += part.length;
      this.#left -= part.length;
      this.#position += part.length;
    }
  }

  /** Ends the content. A hole may follow the last region. */
  end(sink: ContentSink): void {
    makeHole(sink, this.#size - this.#position);
  }

  #nextRegion(sink: ContentSink): void {
    while (this.#left === 0) {
      const offset = this.#regions[this.#next];
      // Unreachable, since `checkRegions` compared the sum of the regions with the content.
      if (offset === undefined) throw new RangeError('content beyond the last region');
      this.#left = this.#regions[this.#next + 1] ?? 0;
      this.#next += 2;
      if (this.#left === 0) continue;
      makeHole(sink, offset - this.#position);
      this.#position = offset;
    }
  }
}

function makeHole(sink: ContentSink, bytes: number): void {
  if (bytes === 0) return;
  if (sink.hole !== undefined) {
    sink.hole(bytes);
    return;
  }
  for (let left = bytes; left > 0; left -= ZEROS.length) sink.content(ZEROS.subarray(0, left));
}
