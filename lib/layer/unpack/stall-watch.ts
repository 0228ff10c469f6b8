/** What can be seen of a layer's progress from outside its thread. */
export interface Moved {
  readonly compressedBytes: number;
  readonly entries: number;
}

/**
 * Notices that unpacking stands still. Time counts only while the thread has something to do: what it waits for is
 * the business of whoever provides it. A download has deadlines of its own and may well wait longer, for the end of a
 * `Retry-After`, the next mirror, or its turn; another layer's large window has its own watch.
 */
export class StallWatch {
  readonly #limitMs: number;
  #moved: Moved = { compressedBytes: -1, entries: -1 };
  #since: number;

  constructor(limitMs: number, now: number) {
    this.#limitMs = limitMs;
    this.#since = now;
  }

  /** To be called a few times a second. @returns whether the thread had something to do for too long, and did nothing. */
  standsStill(now: number, moved: Moved, hasWork: boolean): boolean {
    const { compressedBytes, entries } = this.#moved;
    if (!hasWork || moved.compressedBytes !== compressedBytes || moved.entries !== entries) {
      this.#moved = { compressedBytes: moved.compressedBytes, entries: moved.entries };
      this.#since = now;
    }
    return now - this.#since >= this.#limitMs;
  }
}
