/** The fast hashes of the tree manifest: over 10 GB/s, so that they cost little beside the sha256 of the stream. */
import type { Xattr } from '../tar/entry.ts';

/** The unit of the chain. A reader needs no more memory than this. */
export const HASH_BLOCK = 64 * 1024;
const ZEROS = new Uint8Array(HASH_BLOCK);

/** xxHash64 over blocks of 64 KiB, each seeded with the hash before it: the result does not depend on the chunks. */
export class ContentHash {
  #hash = 0n;
  readonly #block = Buffer.allocUnsafe(HASH_BLOCK);
  #held = 0;

  update(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#held === 0 && bytes.length - at >= HASH_BLOCK) {
        this.#hash = Bun.hash.xxHash64(bytes.subarray(at, at + HASH_BLOCK), this.#hash);
        at += HASH_BLOCK;
        continue;
      }
      const part = bytes.subarray(at, at + HASH_BLOCK - this.#held);
      this.#block.set(part, this.#held);
      this.#held += part.length;
      at += part.length;
      if (this.#held === HASH_BLOCK) this.#close();
    }
  }

  /** As `update` with so many zeros. */
  zeros(count: number): void {
    for (let left = count; left > 0; ) {
      const part = Math.min(left, HASH_BLOCK - this.#held);
      this.update(ZEROS.subarray(0, part));
      left -= part;
    }
  }

  /** The hash so far in hexadecimal; ready for the next file afterwards. */
  finish(): string {
    if (this.#held > 0) this.#close();
    const text = this.#hash.toString(16);
    this.#hash = 0n;
    return text;
  }

  /** As `update` and `finish` of one piece, without copying. */
  once(bytes: Uint8Array): string {
    if (bytes.length === 0) return '0';
    return Bun.hash.xxHash64(bytes, 0n).toString(16);
  }

  #close(): void {
    this.#hash = Bun.hash.xxHash64(this.#block.subarray(0, this.#held), this.#hash);
    this.#held = 0;
  }
}

/** Of names and values, whatever their order; `''` for none. */
export function hashXattrs(xattrs: readonly Xattr[]): string {
  if (xattrs.length === 0) return '';
  const sorted = [...xattrs].sort((a, b) => (a.name < b.name ? -1 : 1));
  const parts = sorted.flatMap(({ name, value }) => [
    Buffer.from(`${name.length}:${name}${value.length}:`, 'latin1'),
    value,
  ]);
  return Bun.hash.xxHash64(Buffer.concat(parts), 0n).toString(16);
}
