import type { Digest } from '../base/digest.ts';
import type { Grade } from '../base/grade.ts';
import { Failure } from '../http/failure.ts';
import type { Answer } from '../http/transport.ts';
import { type BlobDescriptor, openBlob } from './blobs/blob-request.ts';
import type { Ask, Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import type { RegistryPolicy } from './policy/policy.ts';

/**
 * Proves that the caller has access to blobs of the store: graft asks the registry itself, or a trusted mirror, for each
 * blob with the caller's credentials. The answers of other mirrors prove nothing.
 */
export class Proofs {
  readonly #endpoints: Endpoints;
  readonly #policy: RegistryPolicy;
  readonly #asked = new Map<Digest, Promise<Grade | undefined>>();

  constructor(endpoints: Endpoints, policy: RegistryPolicy) {
    this.#endpoints = endpoints;
    this.#policy = policy;
  }

  /**
   * Asks once for each blob. @returns the grade of the answer; undefined when the repository does not have the blob
   * @throws Failure, for 401 and 403 too
   */
  mayRead(blob: BlobDescriptor, signal: AbortSignal): Promise<Grade | undefined> {
    const known = this.#asked.get(blob.digest);
    if (known !== undefined) return known;
    const asking = this.#ask(blob, signal);
    this.#asked.set(blob.digest, asking);
    return asking;
  }

  #ask(blob: BlobDescriptor, signal: AbortSignal): Promise<Grade | undefined> {
    return this.#endpoints.first('tag', async (endpoint, last) => {
      try {
        return (await this.#head(endpoint, blob, last, signal)) ? endpoint.grade : undefined;
      } catch (error) {
        if (last && error instanceof Failure && error.error.code === 'REGISTRY_NOT_FOUND') return undefined;
        throw error;
      }
    });
  }

  async #head(
    endpoint: Endpoint,
    blob: BlobDescriptor,
    last: boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const reference = blob.digest;
    const ask: Ask = { method: 'HEAD', kind: 'blobs', reference, headers: {}, accepts: [] };
    try {
      const attempts = last ? this.#policy.retry.attempts : 1;
      return isAbout(await endpoint.request(ask, attempts, signal), blob);
    } catch (error) {
      if (!isAboutHead(error, endpoint)) throw error;
    }
    // A GET of the last byte, whose answer has the size of the whole.
    const part = { start: blob.size - 1, end: blob.size, etag: undefined };
    const opened = await openBlob(endpoint, blob, part, signal);
    await opened.answer.body.discard();
    return true;
  }
}

/** True when the answer has the blob's digest or size. A login page also has status 200, but neither of them. */
function isAbout({ headers }: Answer, { digest, size }: BlobDescriptor): boolean {
  const named = headers.get('docker-content-digest');
  return named === null ? headers.get('content-length') === String(size) : named === digest;
}

/** True when only HEAD fails: content networks have URLs that are signed for GET alone, and some proxies know no HEAD. */
function isAboutHead(error: unknown, endpoint: Endpoint): boolean {
  if (!(error instanceof Failure) || error.kind !== 'final') return false;
  const { registry, status } = error.error.subject as { registry?: unknown; status?: unknown };
  return registry !== endpoint.host || status === 405 || status === 501;
}
