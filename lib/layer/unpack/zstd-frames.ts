/**
 * Checks the frames of a zstd stream by their headers alone (RFC 8878). The decoder does not report where a frame ends,
 * ignores any bytes after a frame, and reports no error when the last frame is cut (tried with Bun 1.4.5). Also, the
 * memory that a frame needs must be known before its first byte is decoded.
 */
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';

/** The window of `zstd --long=27`, and the largest that decoders allow by default. */
const MAX_WINDOW = 128 * MiB;

const MAGIC = 0xfd2fb528;
/** 0x184D2A50 to 0x184D2A5F: skippable frames. */
const SKIPPABLE = 0x184d2a50;
const [RLE, COMPRESSED] = [1, 2];
const MAX_BLOCK = 128 * 1024;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];

type Expecting =
  | 'magic'
  | 'descriptor'
  | 'header'
  | 'block'
  | 'data'
  | 'last-data'
  | 'checksum'
  | 'skip-size'
  | 'skip';

export class ZstdFrames {
  #expecting: Expecting = 'magic';
  /** Bytes of the header field that is being collected. */
  readonly #field = Buffer.alloc(16);
  #held = 0;
  #need = 4;
  /** Number of bytes to skip. */
  #skip = 0;
  #descriptor = 0;
  #largestWindow = 0;

  /** The largest window that the frames so far require, in bytes. */
  get largestWindow(): number {
    return this.#largestWindow;
  }

  /** @throws PluginError LAYER_BAD_COMPRESSION for bytes that are no frame, LAYER_TOO_LARGE for the window */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip > 0) return;
        this.#afterData();
        continue;
      }
      const step = Math.min(this.#need - this.#held, chunk.length - at);
      this.#field.set(chunk.subarray(at, at + step), this.#held);
      this.#held += step;
      at += step;
      if (this.#held < this.#need) return;
      this.#held = 0;
      this.#afterField();
    }
  }

  /** @throws PluginError LAYER_BAD_COMPRESSION when the stream ends inside a frame */
  end(): void {
    if (this.#expecting !== 'magic' || this.#held > 0) throw broken('the data ends inside a frame');
  }

  #expect(expecting: Expecting, need: number): void {
    this.#expecting = expecting;
    this.#need = need;
  }

  #pass(expecting: 'data' | 'last-data' | 'skip', bytes: number): void {
    this.#expecting = expecting;
    this.#skip = bytes;
    if (bytes === 0) this.#afterData();
  }

  #afterData(): void {
    if (this.#expecting === 'data') this.#expect('block', 3);
    else if (this.#expecting === 'last-data' && (this.#descriptor & 4) !== 0) this.#expect('checksum', 4);
    else this.#expect('magic', 4);
  }

  #afterField(): void {
    switch (this.#expecting) {
      case 'magic':
        this.#magic(this.#field.readUInt32LE(0));
        break;
      case 'descriptor':
        this.#descriptor = this.#field[0] ?? 0;
        if ((this.#descriptor & 8) !== 0) throw broken('a reserved bit is set');
        this.#expect('header', headerBytes(this.#descriptor));
        break;
      case 'header':
        this.#window();
        this.#expect('block', 3);
        break;
      case 'block':
        this.#block(this.#field.readUIntLE(0, 3));
        break;
      case 'skip-size':
        this.#pass('skip', this.#field.readUInt32LE(0));
        break;
      default:
        this.#expect('magic', 4);
    }
  }

  #magic(magic: number): void {
    if (magic === MAGIC) this.#expect('descriptor', 1);
    else if (isSkippable(magic)) this.#expect('skip-size', 4);
    else throw broken('something that is no zstd frame');
  }

  /** Reads the window. A frame with a single segment has no window field, and its window is the whole content. */
  #window(): void {
    const single = (this.#descriptor & 0x20) !== 0;
    let window: number;
    if (single) {
      const length = contentSizeBytes(this.#descriptor);
      const at = headerBytes(this.#descriptor) - length;
      const size =
        length === 8 ? Number(this.#field.readBigUInt64LE(at)) : this.#field.readUIntLE(at, length);
      window = length === 2 ? size + 256 : size;
    } else {
      const byte = this.#field[0] ?? 0;
      const base = 2 ** (10 + (byte >> 3));
      window = base + (base / 8) * (byte & 7);
    }
    if (window > MAX_WINDOW)
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of zstd window', limit: MAX_WINDOW });
    this.#largestWindow = Math.max(this.#largestWindow, window);
  }

  #block(header: number): void {
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type > COMPRESSED || (type !== RLE && size > MAX_BLOCK)) throw broken('a bad block');
    this.#pass((header & 1) === 1 ? 'last-data' : 'data', type === RLE ? 1 : size);
  }
}

function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === SKIPPABLE;
}

/** @param magic the first four bytes of a stream, little-endian */
export function isFrameMagic(magic: number): boolean {
  return magic === MAGIC || isSkippable(magic);
}

/** Size of the header fields window, dictionary id and content size: 1 to 13 bytes in all. */
function headerBytes(descriptor: number): number {
  const window = (descriptor & 0x20) === 0 ? 1 : 0;
  return window + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + contentSizeBytes(descriptor);
}

function contentSizeBytes(descriptor: number): number {
  const flag = descriptor >> 6;
  if (flag === 0) return (descriptor & 0x20) === 0 ? 0 : 1;
  return 2 ** flag;
}

function broken(reason: string): PluginError {
  return new PluginError('LAYER_BAD_COMPRESSION', { kind: 'zstd', reason });
}
