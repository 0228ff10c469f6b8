import { Pace } from './pace.ts';
import type { Deadlines } from './policy.ts';

/** The body of a request as a stream of known length. */
export interface StreamedBody {
  /** Bytes that `chunks` gives. */
  readonly length: number;
  /** Is called for each attempt, of which a host with several addresses may need more than one. */
  readonly chunks: () => AsyncIterable<Uint8Array>;
}

/** The deadlines of a request until the header of its answer. */
export interface Watch {
  /** The whole request is sent: the time for an answer starts. */
  sent(): void;
  /** Ends the exchange. */
  stuck(step: string, ms: number): void;
  stop(): void;
}

/**
 * The body of a request on its way. The runtime takes the next bytes when the socket has taken the last ones, so a server
 * that does not read is noticed as one that does not write. Only the time of waiting for the network counts.
 */
export class Sending {
  readonly length: number;
  readonly #body: StreamedBody;
  readonly #watch: Watch;
  readonly #pace: Pace;
  #fault: unknown;

  constructor(body: StreamedBody, deadlines: Deadlines, watch: Watch) {
    this.length = body.length;
    this.#body = body;
    this.#watch = watch;
    const stuck = (step: string, ms: number) => watch.stuck(step, ms);
    this.#pace = new Pace(deadlines, 'the server to take the next bytes', stuck);
    if (body.length === 0) watch.sent();
  }

  /** The error of the source of the bytes. The runtime reports the exchange as failed then. */
  get fault(): unknown {
    return this.#fault;
  }

  /** The bytes from their beginning. */
  stream(): ReadableStream<Uint8Array> {
    const source = this.#body.chunks()[Symbol.asyncIterator]();
    let given = 0;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (given > 0) this.#pace.came(given);
          try {
            const { done, value } = await source.next();
            if (done === true) {
              this.#watch.sent();
              return controller.close();
            }
            given = value.length;
            controller.enqueue(value);
            this.#pace.waiting();
          } catch (error) {
            this.#fault = error;
            controller.error(error);
          }
        },
        cancel: async () => {
          this.#pace.stop();
          await source.return?.();
        },
      },
      { highWaterMark: 0 },
    );
  }

  stop(): void {
    this.#pace.stop();
  }
}
