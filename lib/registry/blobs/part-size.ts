/** What is asked for after a body broke without bringing anything. */
const SMALL = 32 * 1024;
const SMALLEST = 1024;
/** Parts of this size that come whole are no longer a special case. */
const LARGE = 8 * 1024 * 1024;

/**
 * How much of a blob to ask for in one request: all of it, as long as bodies bring anything. The runtime drops
 * what it has received and not handed out when a connection breaks. Behind something that cuts every answer after
 * some size, only answers that end by themselves bring anything at all; so small parts are asked for, then
 * larger ones up to what last failed.
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
