import type { Logger } from '../base/log.ts';
import { Failure } from '../http/failure.ts';
import type { BlobServer } from './blobs/blob-request.ts';
import type { Endpoint } from './endpoint.ts';

/** A tag is resolved by trusted registries and mirrors only. Content comes from all, since its digest is checked. */
export type Purpose = 'tag' | 'content';

/** The mirrors and the registry of an image, in order, and which of them are down. */
export class Endpoints {
  readonly #all: readonly Endpoint[];
  readonly #log: Logger;
  readonly #down = new Set<BlobServer>();

  constructor(all: readonly Endpoint[], log: Logger) {
    this.#all = all;
    this.#log = log;
  }

  /** The endpoints to ask; at least one, since the last, the registry itself, is always among them. */
  candidates(purpose: Purpose): readonly Endpoint[] {
    const skipped = purpose === 'tag' ? 'digest-only' : 'tag-only';
    const last = this.#all.at(-1);
    return this.#all.filter(
      (endpoint) => endpoint === last || (endpoint.source.pulls !== skipped && !this.#down.has(endpoint)),
    );
  }

  /**
   * Asks an endpoint after the other until one succeeds. @throws the failure of the last, the registry itself: a mirror's
   * "not here" does not answer the caller's question
   */
  async first<T>(purpose: Purpose, ask: (endpoint: Endpoint, last: boolean) => Promise<T>): Promise<T> {
    const candidates = this.candidates(purpose);
    for (const [index, endpoint] of candidates.entries()) {
      const last = index === candidates.length - 1;
      try {
        return await ask(endpoint, last);
      } catch (error) {
        if (last || !(error instanceof Failure)) throw error;
        this.passOver(endpoint, error);
      }
    }
    throw new Error('should never happen: no registry to ask');
  }

  /** Skips `endpoint`: for this request, or for the whole run where it cannot be used at all. */
  passOver(endpoint: BlobServer, failure: Failure): void {
    const { code, subject } = failure.error;
    if (code !== 'REGISTRY_NOT_FOUND' && code !== 'IMAGE_DIGEST_MISMATCH') this.#down.add(endpoint);
    this.#log.info('mirror-passed-over', { mirror: endpoint.host, code, ...subject });
  }
}
