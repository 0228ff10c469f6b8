import { PluginError } from '../base/errors/error.ts';
import { Failure } from './failure.ts';
import { Pace } from './pace.ts';
import type { Deadlines } from './policy.ts';

/** The body of an answer whose header has arrived. The caller reads it once: in whole up to a limit, or in chunks. */
export class Body {
  readonly #registry: string;
  readonly #stream: ReadableStream<Uint8Array> | null;
  readonly #abort: AbortController;
  readonly #deadlines: Deadlines;
  readonly #classify: (error: unknown) => unknown;

  /**
   * @param abort ends the exchange, connection included.
   * @param classify makes a Failure of an error that the stream throws.
   */
  constructor(
    registry: string,
    stream: ReadableStream<Uint8Array> | null,
    abort: AbortController,
    deadlines: Deadlines,
    classify: (error: unknown) => unknown,
  ) {
    this.#registry = registry;
    this.#stream = stream;
    this.#abort = abort;
    this.#deadlines = deadlines;
    this.#classify = classify;
  }

  /** The whole body. @throws REGISTRY_BODY_TOO_LARGE (final) as soon as more than `limit` bytes have come */
  async bytes(limit: number, what: string): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.length;
      if (size > limit) throw tooLarge(this.#registry, what, limit);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  }

  /** Up to `limit` bytes of text for a message; never throws. */
  async excerpt(limit: number): Promise<string> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of this.chunks()) {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= limit) break;
      }
    } catch {
      // The bytes that came before the error are the best message there is.
    }
    return Buffer.concat(chunks).subarray(0, limit).toString('utf8');
  }

  /**
   * The bytes as they come. Only the time of waiting for the network counts against the deadlines, not the time that the
   * caller takes. The exchange ends when the caller leaves the loop early.
   */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#stream === null) return;
    const reader = this.#stream.getReader();
    const stuck = (step: string, ms: number) => this.#abort.abort(this.#stuck(step, ms));
    const pace = new Pace(this.#deadlines, 'the next bytes', stuck);
    let complete = false;
    try {
      for (;;) {
        pace.waiting();
        const { done, value } = await reader.read();
        if (done) break;
        pace.came(value.length);
        if (value.length > 0) yield value;
      }
      complete = true;
    } catch (error) {
      throw this.#abort.signal.aborted ? this.#abort.signal.reason : this.#classify(error);
    } finally {
      pace.stop();
      if (!complete) await reader.cancel().catch(() => {});
    }
  }

  /** Reads a small rest, so that the connection can serve again. A connection with a large rest is closed. */
  async discard(): Promise<void> {
    await this.excerpt(DISCARD_BYTES);
  }

  #stuck(step: string, ms: number): Failure {
    const seconds = Math.round(ms / 10) / 100;
    return new Failure(
      'transient',
      new PluginError('REGISTRY_DEADLINE', { registry: this.#registry, step, seconds }),
    );
  }
}

/** To read more than this takes longer than a new connection. */
const DISCARD_BYTES = 64 * 1024;

function tooLarge(registry: string, what: string, limit: number): Failure {
  return new Failure('final', new PluginError('REGISTRY_BODY_TOO_LARGE', { registry, what, limit }));
}
