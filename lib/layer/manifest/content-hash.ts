/**
 * The fast hashes of the tree manifest. They process over 10 GB/s, so they cost little beside the sha256 of the stream.
 */
import type { Xattr } from '../tar/entry.ts';

/** The block size of the hash. A reader needs no more memory than this. */
export const HASH_BLOCK = 64 * 1024;
const ZEROS = new Uint8Array(HASH_BLOCK);

/**
 * xxHash64 over blocks of 64 KiB, each seeded with the hash of the block before it. So the result does not depend on
 * how the input is cut into chunks.
 */
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

  /** As `update` with `count` zero bytes. */
  zeros(count: number): void {
    for (let left = count; left > 0; ) {
      const part = Math.min(left, HASH_BLOCK - this.#held);
      this.update(ZEROS.subarray(0, part));
      left -= part;
    }
  }

  /** The hash of the content so far, in hexadecimal. The next `update` starts a new file. */
  finish(): string {
    if (this.#held > 0) this.#close();
    const text = this.#hash.toString(16);
    this.#hash = 0n;
    return text;
  }

  /** As `update` and `finish` of a whole content, without copying it. */
  once(bytes: Uint8Array): string {
    if (bytes.length === 0) return '0';
    return Bun.hash.xxHash64(bytes, 0n).toString(16);
  }

  #close(): void {
    this.#hash = Bun.hash.xxHash64(this.#block.subarray(0, this.#held), this.#hash);
    this.#held = 0;
  }
}

/** Hash of names and values, independent of their order; `''` for no attributes. */
export function hashXattrs(xattrs: readonly Xattr[]): string {
  if (xattrs.length === 0) return '';
  const sorted = [...xattrs].sort((a, b) => (a.name < b.name ? -1 : 1));
  const parts = sorted.flatMap(({ name, value }) => [
    Buffer.from(`${name.length}:${name}${value.length}:`, 'latin1'),
    value,
  ]);
  return Bun.hash.xxHash64(Buffer.concat(parts), 0n).toString(16);
}
