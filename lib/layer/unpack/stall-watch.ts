/** The progress of a layer, as seen from outside its thread. */
export interface Moved {
  readonly compressedBytes: number;
  readonly entries: number;
}

/**
 * Notices that unpacking makes no progress. Time counts only while the thread has work. The thread's waits have limits
 * elsewhere: a download has its own deadlines and may wait longer (for the end of a `Retry-After`, the next mirror, or
 * its turn), and another layer with a large window has its own watch.
 */
export class StallWatch {
  readonly #limitMs: number;
  #moved: Moved = { compressedBytes: -1, entries: -1 };
  #since: number;

  constructor(limitMs: number, now: number) {
    this.#limitMs = limitMs;
    this.#since = now;
  }

  /** Called a few times a second. @returns true when the thread had work for too long and made no progress */
  standsStill(now: number, moved: Moved, hasWork: boolean): boolean {
    const { compressedBytes, entries } = this.#moved;
    if (!hasWork || moved.compressedBytes !== compressedBytes || moved.entries !== entries) {
      this.#moved = { compressedBytes: moved.compressedBytes, entries: moved.entries };
      this.#since = now;
    }
    return now - this.#since >= this.#limitMs;
  }
}
