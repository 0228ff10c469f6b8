/** The bytes of a blob, counted and hashed before any other code reads them. */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';

/** The source of a blob's bytes. `next` returns undefined at the end. A chunk stays valid until the next call. */
export interface ChunkSource {
  next(): Promise<Uint8Array | undefined>;
}

export interface BlobExpectation {
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
}

export class Blob implements ChunkSource {
  readonly #source: ChunkSource;
  readonly #expected: BlobExpectation;
  readonly #hasher = new Bun.CryptoHasher('sha256');
  readonly #arrived: (bytes: number) => void;
  #bytes = 0;
  #lastNonZero = -1;
  #ended = false;
  #previous: Promise<unknown> = Promise.resolve();
  #digest: Digest | undefined;

  /** @param arrived called for every chunk, before any other code sees the chunk */
  constructor(source: ChunkSource, expected: BlobExpectation, arrived: (bytes: number) => void) {
    this.#source = source;
    this.#expected = expected;
    this.#arrived = arrived;
  }

  /** Number of bytes so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Offset of the last byte that is not zero. Zeros may follow a compressed stream as padding. */
  get lastNonZero(): number {
    return this.#lastNonZero;
  }

  /**
   * Calls run one after the other, even when two callers overlap: after a failure the decompressor may still wait for a
   * chunk while `verify` reads the rest.
   * @throws PluginError LAYER_SIZE_MISMATCH as soon as there is one byte too many
   */
  next(): Promise<Uint8Array | undefined> {
    const chunk = this.#previous.then(() => this.#read());
    this.#previous = chunk.catch(() => undefined);
    return chunk;
  }

  async #read(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined;
    const chunk = await this.#source.next();
    if (chunk === undefined) {
      this.#ended = true;
      return undefined;
    }
    this.#arrived(chunk.length);
    this.#hasher.update(chunk);
    for (let i = chunk.length - 1; i >= 0; i -= 1) {
      if (chunk[i] === 0) continue;
      this.#lastNonZero = this.#bytes + i;
      break;
    }
    this.#bytes += chunk.length;
    const { size } = this.#expected;
    if (size !== undefined && this.#bytes > size) {
      this.#ended = true;
      throw sizeMismatch(size, this.#bytes);
    }
    return chunk;
  }

  /**
   * Reads the rest and compares size and digest. @returns the digest
   * @throws PluginError LAYER_SIZE_MISMATCH, LAYER_DIGEST_MISMATCH
   */
  async verify(): Promise<Digest> {
    while ((await this.next()) !== undefined);
    const { size, digest } = this.#expected;
    if (size !== undefined && this.#bytes !== size) throw sizeMismatch(size, this.#bytes);
    this.#digest ??= parseDigest(`sha256:${this.#hasher.digest('hex')}`);
    const actual = this.#digest;
    if (digest !== undefined && actual !== digest) {
      throw new PluginError('LAYER_DIGEST_MISMATCH', { expected: digest, actual });
    }
    return actual;
  }
}

function sizeMismatch(expected: number, actual: number): PluginError {
  return new PluginError('LAYER_SIZE_MISMATCH', { expected, actual, when: 'actual' });
}
