import type { Logger } from '../base/log.ts';
import { Failure } from '../http/failure.ts';
import type { BlobServer } from './blobs/blob-request.ts';
import type { Endpoint } from './endpoint.ts';

/** Tags say what an image is, so only trusted places may resolve them; content is checked by its digest. */
export type Wanted = 'tag' | 'content';

/** The places an image may come from, in order, and what this run has learnt about them. */
export class Endpoints {
  readonly #all: readonly Endpoint[];
  readonly #log: Logger;
  readonly #down = new Set<BlobServer>();

  constructor(all: readonly Endpoint[], log: Logger) {
    this.#all = all;
    this.#log = log;
  }

  /** At least one: the last, the registry itself, is asked whatever is known about it. */
  candidates(wanted: Wanted): readonly Endpoint[] {
    const skipped = wanted === 'tag' ? 'digest-only' : 'tag-only';
    const last = this.#all.at(-1);
    return this.#all.filter(
      (endpoint) => endpoint === last || (endpoint.place.pulls !== skipped && !this.#down.has(endpoint)),
    );
  }

  /**
   * Asks one after the other until one gives. @throws the failure of the last, which is the registry itself:
   * what a mirror says ("not here") is not what the caller asked.
   */
  async first<T>(wanted: Wanted, ask: (endpoint: Endpoint, last: boolean) => Promise<T>): Promise<T> {
    const candidates = this.candidates(wanted);
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

  /** Goes on without `endpoint`: for this one request, or for the run when it cannot be used at all. */
  passOver(endpoint: BlobServer, failure: Failure): void {
    const { code, subject } = failure.error;
    if (code !== 'REGISTRY_NOT_FOUND' && code !== 'IMAGE_DIGEST_MISMATCH') this.#down.add(endpoint);
    this.#log.info('mirror-passed-over', { mirror: endpoint.host, code, ...subject });
  }
}
