import type { Digest } from '../base/digest.ts';
import type { Grade } from '../base/grade.ts';
import { Failure } from '../http/failure.ts';
import type { Answer } from '../http/transport.ts';
import { openBlob, type WantedBlob } from './blobs/blob-request.ts';
import type { Ask, Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import type { RegistryPolicy } from './policy/policy.ts';

/**
 * Whether whoever asks may have blobs that are here already: the registry itself, or a trusted mirror, is asked for each,
 * as the caller. Other mirrors say nothing about that.
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
   * As whom the caller may; undefined when the repository has no such blob. Each is asked for once.
   * @throws Failure, for 401 and 403 too
   */
  mayRead(blob: WantedBlob, signal: AbortSignal): Promise<Grade | undefined> {
    const known = this.#asked.get(blob.digest);
    if (known !== undefined) return known;
    const asking = this.#ask(blob, signal);
    this.#asked.set(blob.digest, asking);
    return asking;
  }

  #ask(blob: WantedBlob, signal: AbortSignal): Promise<Grade | undefined> {
    return this.#endpoints.first('tag', async (endpoint, last) => {
      try {
        return (await this.#head(endpoint, blob, last, signal)) ? endpoint.grade : undefined;
      } catch (error) {
        if (last && error instanceof Failure && error.error.code === 'REGISTRY_NOT_FOUND') return undefined;
        throw error;
      }
    });
  }

  async #head(endpoint: Endpoint, blob: WantedBlob, last: boolean, signal: AbortSignal): Promise<boolean> {
    const reference = blob.digest;
    const ask: Ask = { method: 'HEAD', kind: 'blobs', reference, headers: {}, accepts: [] };
    try {
      const attempts = last ? this.#policy.retry.attempts : 1;
      return isAbout(await endpoint.request(ask, attempts, signal), blob);
    } catch (error) {
      if (!isAboutHead(error, endpoint)) throw error;
    }
    // The last byte, with its place in the whole.
    const part = { start: blob.size - 1, end: blob.size, etag: undefined };
    const opened = await openBlob(endpoint, blob, part, signal);
    await opened.answer.body.discard();
    return true;
  }
}

/** A page that asks for a login comes with 200 too; it has neither the blob's name nor its size. */
function isAbout({ headers }: Answer, { digest, size }: WantedBlob): boolean {
  const named = headers.get('docker-content-digest');
  return named === null ? headers.get('content-length') === String(size) : named === digest;
}

/** Content networks are led to by URLs that are signed for GET alone; some proxies know no HEAD. */
function isAboutHead(error: unknown, endpoint: Endpoint): boolean {
  if (!(error instanceof Failure) || error.kind !== 'final') return false;
  const { registry, status } = error.error.subject as { registry?: unknown; status?: unknown };
  return registry !== endpoint.host || status === 405 || status === 501;
}
