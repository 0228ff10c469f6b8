/** A sparse file of an archive: its entry waits for the map, and its content goes where the map says. */
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

/** Takes a file's bytes; `hole` for bytes that are zero and need no room. */
export interface ContentSink {
  content(bytes: Uint8Array): void;
  hole?(bytes: number): void;
}

const ZEROS = new Uint8Array(64 * 1024);

export class SparseFile {
  /** As the header has it; its size is that of the content in the archive. */
  readonly #entry: FileEntry;
  readonly #size: number;
  readonly #map: MapBlocks | undefined;
  #regions: SparseRegions;
  /** Of the content, without the map. */
  #contentBytes: number;
  /** Where the next byte goes. */
  #position = 0;
  /** The region that it belongs to, and how much of that is still to come. */
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

  /** Blocks of the map come next. */
  get needsMap(): boolean {
    return this.#map !== undefined;
  }

  /** @returns true when the map is complete. @throws BadHeader */
  mapBlock(block: Buffer): boolean {
    const map = this.#map;
    if (map === undefined) return true;
    if (map.inContent) this.#contentBytes -= block.length;
    if (this.#contentBytes < 0) throw new BadHeader('a sparse map that is longer than its entry');
    if (!map.push(block)) return false;
    this.#regions = map.regions;
    return true;
  }

  /** Bytes of content that follow. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** Once the map is complete. @throws BadHeader for a map that does not fit */
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

  /** The content is over: there may be a hole behind it. */
  end(sink: ContentSink): void {
    makeHole(sink, this.#size - this.#position);
  }

  #nextRegion(sink: ContentSink): void {
    while (this.#left === 0) {
      const offset = this.#regions[this.#next];
      // `checkRegions` counted the bytes.
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
