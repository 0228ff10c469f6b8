import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { backoffMs, sleep } from '../../base/retry.ts';
import { Failure, verdict } from '../../http/failure.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import { type BlobDescriptor, type BlobServer, type OpenedBlob, openBlob } from './blob-request.ts';
import { PartSize } from './part-size.ts';
import type { PartialBlob } from './partial.ts';

/** A connection that broke after so many bytes has made progress, and failures are counted anew. */
const PROGRESS_BYTES = 64 * 1024;

export interface DownloadParts {
  /** The servers in the order of requests; at least one. */
  readonly servers: readonly BlobServer[];
  /** Is called with the source of bytes: a server, or the partial file of an earlier process. */
  readonly onUsed: (from: BlobServer | 'partial') => void;
  /** Is called with a server that is given up for the next one. */
  readonly onGivenUp: (server: BlobServer, failure: Failure) => void;
  readonly policy: RegistryPolicy;
  readonly log: Logger;
  /** The partial file with bytes of an earlier process, to which new bytes are appended; undefined for small blobs. */
  readonly partial: PartialBlob | undefined;
  readonly signal: AbortSignal;
}

/**
 * A blob as a stream that survives broken connections. The reader already has the bytes so far, so a new connection goes on
 * exactly where the last one broke: by a range, or by dropping bytes that a server sends again. The reader checks the
 * digest, which also covers bytes from several servers.
 */
export class Download {
  readonly #blob: BlobDescriptor;
  readonly #parts: DownloadParts;
  #at = 0;
  #server = 0;
  #etag: string | undefined;
  /** The number of failures in a row at this server, without progress between them. */
  #failures = 0;
  #lastFailureAt = 0;
  #partSize = new PartSize();
  /** The offset at which the last connection began, once its header had come. */
  #bodyFrom: number | undefined;

  constructor(blob: BlobDescriptor, parts: DownloadParts) {
    this.#blob = blob;
    this.#parts = parts;
  }

  /** @throws Failure when no server gives the rest; the signal's reason when it aborts */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { partial } = this.#parts;
    if (partial !== undefined) yield* this.#replay(partial);
    while (this.#at < this.#blob.size) {
      try {
        for await (const chunk of this.#connection()) {
          partial?.append(chunk);
          this.#at += chunk.length;
          yield chunk;
        }
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  async *#replay(partial: PartialBlob): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of partial.replay()) {
      if (this.#at === 0) this.#parts.onUsed('partial');
      this.#at += chunk.length;
      yield chunk;
    }
    if (this.#at > 0) this.#log('blob-resumed', { bytes: this.#at });
    this.#lastFailureAt = this.#at;
  }

  /** The bytes of a single connection from `#at` on, never more than its header announces. */
  async *#connection(): AsyncGenerator<Uint8Array, void, undefined> {
    const server = this.#current();
    const { size } = this.#blob;
    const [start, end] = [this.#at, Math.min(size, this.#at + this.#partSize.bytes)];
    this.#bodyFrom = undefined;
    const opened = await openBlob(server, this.#blob, { start, end, etag: this.#etag }, this.#parts.signal);
    this.#bodyFrom = start;
    this.#parts.onUsed(server);
    this.#etag = opened.etag;
    let room = opened.length;
    for await (const chunk of rest(opened)) {
      if (chunk.length > room) throw this.#wrongSize(start + opened.length - room + chunk.length);
      room -= chunk.length;
      yield chunk;
    }
    // Without a length, HTTP cannot tell a body that broke from a complete one.
    if (this.#at < end) throw this.#endedEarly(server);
    this.#partSize.cameWhole();
  }

  #current(): BlobServer {
    const server = this.#parts.servers[this.#server];
    if (server === undefined) throw new Error('should never happen: no server to ask');
    return server;
  }

  #wrongSize(actual: number): Failure {
    const subject = { expected: this.#blob.size, actual, when: 'actual' as const };
    return new Failure('final', new PluginError('LAYER_SIZE_MISMATCH', subject));
  }

  #endedEarly(server: BlobServer): Failure {
    const reason = `it sent ${this.#at} of ${this.#blob.size} bytes`;
    return new Failure(
      'transient',
      new PluginError('REGISTRY_UNREACHABLE', { registry: server.host, reason }),
    );
  }

  /** Chooses the server of the next connection, and pauses before it. @throws `error` when no server is left */
  async #recover(error: unknown): Promise<void> {
    const { policy, signal, servers } = this.#parts;
    signal.throwIfAborted();
    if (!(error instanceof Failure)) throw error;
    this.#countFailure();
    const server = this.#current();
    const last = this.#server === servers.length - 1;
    const judged = verdict(error, policy.retryAfterMaxMs);
    // Another server is quicker than a pause for this one, unless this one has already given bytes.
    const attempts = last || this.#at > 0 ? policy.retry.attempts : 1;
    if (judged !== 'stop' && this.#failures < attempts) {
      const pause = Math.max(judged.afterMs, backoffMs(policy.retry, this.#failures));
      this.#log('blob-retry', { registry: server.host, code: error.error.code, pauseMs: pause });
      return sleep(pause, signal);
    }
    if (last) throw error;
    this.#parts.onGivenUp(server, error);
    this.#server += 1;
    this.#failures = 0;
    this.#etag = undefined;
    this.#partSize = new PartSize();
  }

  #countFailure(): void {
    if (this.#at - this.#lastFailureAt >= PROGRESS_BYTES) this.#failures = 0;
    if (this.#at === this.#bodyFrom) this.#partSize.broke();
    this.#failures += 1;
    this.#lastFailureAt = this.#at;
  }

  #log(event: string, data: Readonly<Record<string, unknown>>): void {
    this.#parts.log.info(event, { digest: this.#blob.digest, at: this.#at, size: this.#blob.size, ...data });
  }
}

/** The body without the bytes that came before. */
async function* rest(opened: OpenedBlob): AsyncGenerator<Uint8Array, void, undefined> {
  let { skip } = opened;
  for await (const chunk of opened.answer.body.chunks()) {
    if (skip >= chunk.length) skip -= chunk.length;
    else if (skip > 0) {
      yield chunk.subarray(skip);
      skip = 0;
    } else yield chunk;
  }
}
