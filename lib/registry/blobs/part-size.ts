/** The size of a part after a body broke before any byte arrived. */
const SMALL = 32 * 1024;
const SMALLEST = 1024;
/** After a part of this size that comes whole, the rest is asked for at once again. */
const LARGE = 8 * 1024 * 1024;

/**
 * The size of the next request for a part of a blob: all of it, as long as bodies bring bytes. When a connection breaks,
 * the runtime drops received bytes that the reader has not got yet. Behind a proxy that cuts every answer after some size,
 * only an answer that ends by itself brings bytes. So graft asks for small parts, then for larger ones up to half of the
 * size that failed last.
 */
export class PartSize {
  #size = Number.POSITIVE_INFINITY;
  #ceiling = Number.POSITIVE_INFINITY;

  get bytes(): number {
    return this.#size;
  }

  /** A body broke, and nothing of it arrived. */
  broke(): void {
    if (this.#size === Number.POSITIVE_INFINITY) {
      this.#size = SMALL;
      return;
    }
    this.#ceiling = this.#size / 2;
    this.#size = Math.max(SMALLEST, this.#size / 4);
  }

  cameWhole(): void {
    if (this.#size * 2 <= this.#ceiling) this.#size *= 2;
    if (this.#size >= LARGE) this.#size = Number.POSITIVE_INFINITY;
  }
}
