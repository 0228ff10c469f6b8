import type { Deadlines } from './policy.ts';

/**
 * Watches a body, of an answer or of a request, for silence and for a rate below the limit (a byte every ten seconds, say).
 */
export class Pace {
  readonly #deadlines: Deadlines;
  readonly #awaited: string;
  readonly #stuck: (step: string, ms: number) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitedMs = 0;
  #bytes = 0;
  #since = 0;

  /**
   * @param awaited the name of the next event, for the sentence of a silence
   * @param stuck is called with the step that was waited for in vain, and milliseconds
   */
  constructor(deadlines: Deadlines, awaited: string, stuck: (step: string, ms: number) => void) {
    this.#deadlines = deadlines;
    this.#awaited = awaited;
    this.#stuck = stuck;
  }

  waiting(): void {
    this.#since = performance.now();
    const { idleMs } = this.#deadlines;
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#stuck(this.#awaited, idleMs), idleMs);
  }

  /** The window counts waiting time only, so that a slow disk does not look like a slow server. */
  came(bytes: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bytes += bytes;
    this.#waitedMs += performance.now() - this.#since;
    const { slowWindowMs, slowBytesPerSecond } = this.#deadlines;
    if (this.#waitedMs < slowWindowMs) return;
    if (this.#bytes < (slowBytesPerSecond * this.#waitedMs) / 1000) {
      this.#stuck(`more than ${slowBytesPerSecond} bytes a second`, this.#waitedMs);
    }
    this.#waitedMs = 0;
    this.#bytes = 0;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
