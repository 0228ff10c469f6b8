/** The size of the first part after a server refused the whole: below the limit of the usual proxies. */
const FIRST = 32 * 1024 * 1024;
/** A server that takes less at a time cannot be used. */
const SMALLEST = 64 * 1024;

/**
 * The size of the next part of an upload: all of it, as long as the registry takes that. Registries and the proxies before
 * them limit the size of a request, and few of them say how. So parts become smaller until they pass.
 */
export class ChunkSize {
  #size = Number.POSITIVE_INFINITY;
  #least = SMALLEST;

  get bytes(): number {
    return this.#size;
  }

  /** True when the whole was refused. */
  get limited(): boolean {
    return this.#size !== Number.POSITIVE_INFINITY;
  }

  /** The registry takes no smaller parts than these. */
  atLeast(bytes: number): void {
    this.#least = Math.max(this.#least, bytes);
  }

  /** A part was refused, or broke off. False when the registry takes no smaller ones. @param size of the whole blob */
  refused(size: number): boolean {
    const next = this.limited ? this.#size / 4 : Math.min(FIRST, Math.ceil(size / 2));
    if (this.#size <= this.#least || next < SMALLEST) return false;
    this.#size = Math.max(this.#least, Math.ceil(next));
    return true;
  }
}
