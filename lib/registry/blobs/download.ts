import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { backoffMs, sleep } from '../../base/retry.ts';
import { Failure, verdict } from '../../http/failure.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import { type BlobServer, type OpenedBlob, openBlob, type WantedBlob } from './blob-request.ts';
import { PartSize } from './part-size.ts';
import type { PartialBlob } from './partial.ts';

/** Counts as progress: after so many bytes a broken connection is an event of its own, not the last one's repetition. */
const PROGRESS_BYTES = 64 * 1024;

export interface DownloadParts {
  /** In the order they are asked; at least one. */
  readonly servers: readonly BlobServer[];
  /** Told whose bytes are handed out: a server's, or those that an earlier process left. */
  readonly onUsed: (from: BlobServer | 'partial') => void;
  /** Told which server is given up for the next one. */
  readonly onGivenUp: (server: BlobServer, failure: Failure) => void;
  readonly policy: RegistryPolicy;
  readonly log: Logger;
  /** Bytes of an earlier process, and where these go; undefined for small blobs. */
  readonly partial: PartialBlob | undefined;
  readonly signal: AbortSignal;
}

/**
 * One blob as a stream that survives what a network does to it. Bytes handed out cannot be taken back, so a
 * new connection goes on exactly where the last one broke: by range, or by dropping what a server insists on
 * sending again. The digest is the reader's to check; it also covers bytes that came from different places.
 */
export class Download {
  readonly #blob: WantedBlob;
  readonly #parts: DownloadParts;
  #at = 0;
  #server = 0;
  #etag: string | undefined;
  /** Failures in a row at this server without progress between them. */
  #failures = 0;
  #lastFailureAt = 0;
  #partSize = new PartSize();
  /** Where the last connection began, once it had come as far as its body. */
  #bodyFrom: number | undefined;

  constructor(blob: WantedBlob, parts: DownloadParts) {
    this.#blob = blob;
    this.#parts = parts;
  }

  /** @throws Failure when no place has the rest; the signal's reason when it aborts. */
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

  /** One connection's bytes from `#at` on, never more than it announced. */
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
    // A body without a length that stops in the middle looks complete to HTTP.
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
    return new Failure('passing', new PluginError('REGISTRY_UNREACHABLE', { registry: server.host, reason }));
  }

  /** Decides where the next connection goes, after the pause it takes. @throws the error when there is none. */
  async #recover(error: unknown): Promise<void> {
    const { policy, signal, servers } = this.#parts;
    signal.throwIfAborted();
    if (!(error instanceof Failure)) throw error;
    this.#countFailure();
    const server = this.#current();
    const last = this.#server === servers.length - 1;
    const judged = verdict(error, policy.retryAfterMaxMs);
    // Another place costs less than waiting for this one, unless it has served us already.
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

/** The body without what was read before. */
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
