import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { BlobDescriptor } from '../blobs/blob-request.ts';

/** A blob that is sent to a registry. */
export interface BlobToPush extends BlobDescriptor {
  /** The bytes from an offset on. Is called again when a connection broke. */
  readonly open: (from: number) => AsyncIterable<Uint8Array>;
}

/** The most bytes that are given to the network at a time, so that progress is seen. */
const PIECE = 64 * 1024;

/**
 * The bytes of a blob, which are hashed while they are sent for the first time. The caller asks for `verify` before it
 * completes the upload, so that a damaged blob never gets a name in the registry.
 */
export class CheckedBlob {
  readonly #blob: BlobToPush;
  readonly #hash = new Bun.CryptoHasher('sha256');
  readonly #onBytes: (bytes: number) => void;
  #hashed = 0;
  #actual: Digest | undefined;

  /** @param onBytes is told the bytes that are given to the network for the first time */
  constructor(blob: BlobToPush, onBytes: (bytes: number) => void) {
    this.#blob = blob;
    this.#onBytes = onBytes;
  }

  /** The bytes from `start` up to, not including, `end`. @throws PUSH_BLOB_DAMAGED when the blob is shorter or longer */
  async *part(start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { size } = this.#blob;
    let at = start;
    for await (const chunk of this.#blob.open(start)) {
      const room = end - at;
      if (chunk.length > room && end === size)
        throw this.#damaged(`it has more than the ${size} bytes of its descriptor`);
      for (const piece of piecesOf(chunk.subarray(0, room))) {
        this.#note(at, piece);
        at += piece.length;
        yield piece;
      }
      if (at === end && end < size) return;
    }
    if (at < end) throw this.#damaged(`it has ${at} of the ${size} bytes of its descriptor`);
  }

  /** The whole of a small blob, checked. @throws PUSH_BLOB_DAMAGED */
  async whole(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.part(0, this.#blob.size)) pieces.push(piece.slice());
    this.verify();
    return Buffer.concat(pieces);
  }

  /** Compares the digest of all bytes, which have been given. @throws PUSH_BLOB_DAMAGED */
  verify(): void {
    if (this.#hashed < this.#blob.size)
      throw new Error('should never happen: a blob is verified before it was read');
    this.#actual ??= `sha256:${this.#hash.digest('hex')}` as Digest;
    if (this.#actual !== this.#blob.digest) throw this.#damaged(`its bytes have the digest ${this.#actual}`);
  }

  /** Bytes that are sent again are not hashed again: the registry checks the digest too. */
  #note(at: number, piece: Uint8Array): void {
    const known = this.#hashed - at;
    if (known < 0) throw new Error('should never happen: a part of a blob was left out');
    if (known >= piece.length) return;
    const fresh = piece.subarray(known);
    this.#hash.update(fresh);
    this.#hashed += fresh.length;
    this.#onBytes(fresh.length);
  }

  #damaged(reason: string): PluginError {
    return new PluginError('PUSH_BLOB_DAMAGED', { digest: this.#blob.digest, reason });
  }
}

/** Views of the bytes, of a size at which progress is seen. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}
