import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { backoffMs, sleep } from '../../base/retry.ts';
import { Failure, verdict } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';
import type { Endpoint } from '../endpoint.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import { type BlobToPush, CheckedBlob, piecesOf } from './blob-to-push.ts';
import { ChunkSize } from './chunk-size.ts';
import { hasBlob } from './has-blob.ts';
import { bytesTaken, smallestChunk, statusOf, uploadAddress } from './upload-answers.ts';
import { UploadRequests } from './upload-requests.ts';

export type BlobOutcome = 'there' | 'mounted' | 'uploaded';

export interface UploadParts {
  readonly endpoint: Endpoint;
  readonly policy: RegistryPolicy;
  readonly log: Logger;
  /** Repositories of the same registry that may have the blob. */
  readonly mountFrom: readonly string[];
  readonly onBytes: (bytes: number) => void;
}

/** A smaller blob is sent with the request that completes its upload. */
const WHOLE_BYTES = 4 * 1024 * 1024;
/** After so many bytes that the registry took, failures are counted anew. */
const PROGRESS_BYTES = 64 * 1024;

/**
 * The upload of a blob: asked for, mounted from another repository, or sent, in one part as long as that works. When a
 * connection breaks, the registry is asked how many bytes it has, and the upload goes on there.
 */
export class Upload {
  readonly #blob: BlobToPush;
  readonly #parts: UploadParts;
  readonly #requests: UploadRequests;
  readonly #checked: CheckedBlob;
  #chunk = new ChunkSize();
  #address: URL | undefined;
  /** Bytes that the registry has. */
  #at = 0;
  /** The answer to the last request is unknown, so the registry is asked before the next one. */
  #unsure = false;
  /** Failures in a row without progress. */
  #failures = 0;
  #mark = 0;
  #begun = 0;

  constructor(blob: BlobToPush, parts: UploadParts) {
    this.#blob = blob;
    this.#parts = parts;
    this.#requests = new UploadRequests(parts.endpoint, blob.digest, parts.log);
    this.#checked = new CheckedBlob(blob, parts.onBytes);
  }

  /** @throws Failure, PUSH_BLOB_DAMAGED, PUSH_UPLOAD_LOST, PUSH_NO_PROGRESS, PUSH_NOT_KEPT; the signal's reason */
  async run(signal: AbortSignal): Promise<BlobOutcome> {
    try {
      for (;;) {
        try {
          return await this.#attempt(signal);
        } catch (error) {
          await this.#recover(error, signal);
        }
      }
    } catch (error) {
      await this.#cancel();
      throw error;
    }
  }

  async #attempt(signal: AbortSignal): Promise<BlobOutcome> {
    const { size } = this.#blob;
    if (this.#address === undefined) {
      if (await this.#isThere(signal)) return this.#begun === 0 ? 'there' : 'uploaded';
      if (await this.#begin(signal)) return 'mounted';
    }
    if (this.#goesWhole()) {
      await this.#complete(await this.#checked.whole(), signal);
      return 'uploaded';
    }
    if (this.#unsure) await this.#askHowFar(signal);
    while (this.#at < size) await this.#sendPart(signal);
    this.#checked.verify();
    await this.#complete(undefined, signal);
    return 'uploaded';
  }

  #goesWhole(): boolean {
    return this.#blob.size <= WHOLE_BYTES && !this.#chunk.limited;
  }

  #isThere(signal: AbortSignal): Promise<boolean> {
    return hasBlob(this.#parts.endpoint, this.#blob, signal);
  }

  /** Begins an upload. True when the registry mounted the blob from another repository instead. */
  async #begin(signal: AbortSignal): Promise<boolean> {
    const { digest } = this.#blob;
    if (this.#begun > this.#parts.policy.retry.attempts)
      throw new PluginError('PUSH_UPLOAD_LOST', {
        registry: this.#parts.endpoint.host,
        digest,
        times: this.#begun,
      });
    // A mount is tried at the first beginning only.
    for (const from of this.#begun === 0 ? this.#parts.mountFrom : []) {
      const answer = await this.#orRefused(this.#requests.mount(from, signal));
      if (answer?.status === 201) return true;
      // An upload that began instead of a mount is used.
      if (answer !== undefined && this.#opened(answer)) return false;
    }
    if (!this.#opened(await this.#requests.begin(signal)))
      throw this.#badAnswer('it begins an upload without saying where to send it');
    return false;
  }

  /** The answer, or undefined where the registry does not mount: some refuse the request. */
  async #orRefused(asking: Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await asking;
    } catch (error) {
      if (error instanceof Failure && error.kind === 'final') return undefined;
      throw error;
    }
  }

  #opened(answer: Answer): boolean {
    const address = uploadAddress(answer, this.#parts.endpoint.origin);
    if (address === undefined) return false;
    this.#address = address;
    this.#at = 0;
    this.#mark = 0;
    this.#unsure = false;
    this.#begun += 1;
    this.#chunk.atLeast(smallestChunk(answer));
    return true;
  }

  async #askHowFar(signal: AbortSignal): Promise<void> {
    const answer = await this.#requests.status(this.#there(), signal);
    const taken = bytesTaken(answer);
    if (taken === undefined) return this.#forget();
    this.#moveTo(answer);
    this.#advance(taken, this.#blob.size);
    this.#unsure = false;
  }

  async #sendPart(signal: AbortSignal): Promise<void> {
    const { size } = this.#blob;
    const [start, end] = [this.#at, Math.min(size, this.#at + this.#chunk.bytes)];
    const range = start > 0 || end < size ? `${start}-${end - 1}` : undefined;
    const body = { length: end - start, chunks: () => this.#checked.part(start, end) };
    const answer = await this.#requests.part(this.#there(), range, body, signal);
    this.#moveTo(answer);
    this.#advance(bytesTaken(answer) ?? end, end);
    if (this.#at > start) return;
    this.#countFailure(this.#stuck());
    await this.#pause(0, signal);
  }

  /** @param sent the bytes that the registry can have. @throws Failure when it claims more */
  #advance(taken: number, sent: number): void {
    if (taken > sent) throw this.#badAnswer(`it says that it has ${taken} bytes of an upload of ${sent}`);
    this.#at = taken;
    if (this.#at - this.#mark < PROGRESS_BYTES) return;
    this.#failures = 0;
    this.#mark = this.#at;
  }

  /** @param bytes the whole of a small blob */
  async #complete(bytes: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
    const { digest } = this.#blob;
    const body = bytes && { length: bytes.length, chunks: () => given(bytes) };
    const answer = await this.#requests.complete(this.#there(), body, signal);
    this.#address = undefined;
    const named = answer.headers.get('docker-content-digest');
    if (named !== null && named !== digest) throw this.#notKept(`calls it ${named.slice(0, 100)}`);
    // Only 201 says that the blob has a name now.
    if (answer.status !== 201 && !(await this.#isThere(signal)))
      throw this.#notKept(`does not have it (it answers ${answer.status})`);
  }

  #notKept(reason: string): PluginError {
    const what = `the blob ${this.#blob.digest}`;
    return new PluginError('PUSH_NOT_KEPT', { registry: this.#parts.endpoint.host, what, reason });
  }

  #badAnswer(reason: string): Failure {
    const { host } = this.#parts.endpoint;
    return new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry: host, reason }));
  }

  #there(): URL {
    if (this.#address === undefined) throw new Error('should never happen: an upload without an address');
    return this.#address;
  }

  /** Each answer may name another address, and the last one counts. */
  #moveTo(answer: Answer): void {
    this.#address = uploadAddress(answer, this.#parts.endpoint.origin) ?? this.#address;
  }

  #forget(): void {
    this.#address = undefined;
    this.#unsure = false;
    throw new Failure('transient', this.#stuck());
  }

  #stuck(): PluginError {
    const { digest, size } = this.#blob;
    return new PluginError('PUSH_NO_PROGRESS', {
      registry: this.#parts.endpoint.host,
      digest,
      taken: this.#at,
      size,
    });
  }

  /** Prepares the next attempt, and pauses before it. @throws `error` where none is useful */
  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!(error instanceof Failure)) throw error;
    const status = statusOf(error);
    const { policy, log, endpoint } = this.#parts;
    const { code } = error.error;
    log.info('upload-retry', {
      registry: endpoint.host,
      digest: this.#blob.digest,
      at: this.#at,
      code,
      status,
    });
    const judged = verdict(error, policy.retryAfterMaxMs);
    const begun = this.#address !== undefined;
    // The registry may have kept bytes of a broken request, after which the blob from its start would be wrong.
    if (this.#goesWhole()) await this.#cancel();
    if (this.#address !== undefined && (status === 404 || (this.#unsure && NO_STATUS.has(status)))) {
      this.#address = undefined;
      return this.#pause(0, signal);
    }
    const tooLarge = status === 413 && begun;
    const moved = status === 416 && this.#address !== undefined;
    if (judged === 'stop' && !moved && !(tooLarge && this.#chunk.refused(this.#blob.size))) throw error;
    // A proxy that cuts what is too large for it does not say so.
    if (!tooLarge) this.#countFailure(error);
    if (this.#failures > 1 && this.#address !== undefined) this.#chunk.refused(this.#blob.size);
    this.#unsure = this.#address !== undefined;
    return this.#pause(judged === 'stop' ? 0 : judged.afterMs, signal);
  }

  #countFailure(error: unknown): void {
    this.#failures += 1;
    if (this.#failures >= this.#parts.policy.retry.attempts) throw error;
  }

  #pause(afterMs: number, signal: AbortSignal): Promise<void> {
    const pause = backoffMs(this.#parts.policy.retry, Math.max(1, this.#failures));
    return sleep(Math.max(afterMs, pause), signal);
  }

  /** Tells the registry to drop the bytes of an upload that failed. */
  async #cancel(): Promise<void> {
    const address = this.#address;
    if (address === undefined) return;
    this.#address = undefined;
    await this.#requests.cancel(address);
  }
}

/** The statuses of a registry that cannot say how far an upload is. */
const NO_STATUS: ReadonlySet<number | undefined> = new Set([400, 405, 501]);

async function* given(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield* piecesOf(bytes);
}
