import type { Digest } from '../../base/digest.ts';
import type { Logger } from '../../base/log.ts';
import { Failure } from '../../http/failure.ts';
import type { StreamedBody } from '../../http/sending.ts';
import type { Answer } from '../../http/transport.ts';
import type { Endpoint, Write } from '../endpoint.ts';
import { withDigest } from './upload-answers.ts';

/** The longest wait for an upload to be cancelled. The registry drops it by itself some day. */
const CANCEL_MS = 5000;

const BYTES = { 'content-type': 'application/octet-stream' };

/** The requests of the upload of one blob (distribution-spec, "Pushing blobs"). Their answers have no body of use. */
export class UploadRequests {
  readonly #endpoint: Endpoint;
  readonly #digest: Digest;
  readonly #log: Logger;

  constructor(endpoint: Endpoint, digest: Digest, log: Logger) {
    this.#endpoint = endpoint;
    this.#digest = digest;
    this.#log = log;
  }

  /** Asks for the blob of another repository, or for an upload. @returns an answer of status 201 or 202 */
  mount(from: string, signal: AbortSignal): Promise<Answer> {
    const query = `?mount=${encodeURIComponent(this.#digest)}&from=${encodeURIComponent(from)}`;
    return this.#send({ method: 'POST', to: `blobs/uploads/${query}`, accepts: [201, 202] }, signal);
  }

  begin(signal: AbortSignal): Promise<Answer> {
    return this.#send({ method: 'POST', to: 'blobs/uploads/', accepts: [202] }, signal);
  }

  /** Asks how many bytes the registry has. */
  status(to: URL, signal: AbortSignal): Promise<Answer> {
    return this.#send({ method: 'GET', to, accepts: [200, 202, 204] }, signal);
  }

  /** Sends a part. @param range undefined for the whole, which docker sends without; some registries take no parts */
  part(to: URL, range: string | undefined, body: StreamedBody, signal: AbortSignal): Promise<Answer> {
    const headers = { ...BYTES, ...(range !== undefined && { 'content-range': range }) };
    return this.#send({ method: 'PATCH', to, headers, body, accepts: [202, 201, 204] }, signal);
  }

  /** Completes the upload. @param body the whole blob, where no part of it was sent before */
  complete(to: URL, body: StreamedBody | undefined, signal: AbortSignal): Promise<Answer> {
    const at = withDigest(to, this.#digest);
    return this.#send({ method: 'PUT', to: at, headers: BYTES, body, accepts: [201, 200, 202, 204] }, signal);
  }

  /** Tells the registry to drop the bytes of an upload. Never throws. */
  async cancel(to: URL): Promise<void> {
    try {
      const accepts = [200, 202, 204];
      await this.#send({ method: 'DELETE', to, accepts }, AbortSignal.timeout(CANCEL_MS));
    } catch (error) {
      const code = error instanceof Failure ? error.error.code : String(error);
      this.#log.info('upload-not-cancelled', { digest: this.#digest, code });
    }
  }

  async #send(
    write: Pick<Write, 'method' | 'to' | 'accepts'> & Partial<Pick<Write, 'headers' | 'body'>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const whole = { headers: {}, kind: 'blobs' as const, reference: this.#digest, ...write };
    const answer = await this.#endpoint.write(whole, signal);
    await answer.body.discard();
    return answer;
  }
}
