/**
 * Layers that are fetched and not yet renamed into place. A batch costs one syncfs(2), so layers of an image that
 * arrive quickly go together. But a process that waits for one layer must not wait for the slowest layer of another
 * image.
 */
import type { Lease } from '../../store/records/leases.ts';
import type { Store } from '../../store/store.ts';
import type { Claim } from '../../sys/exclusive/claim.ts';
import type { Admission } from '../source/admission.ts';
import type { Pull } from './context.ts';
import { publishDelivered } from './deliver.ts';
import type { FetchedLayer } from './fetch-layer.ts';

/** The time that a layer may wait for others of its batch. */
const PUBLISH_WITHIN_MS = 1000;

interface Ready {
  readonly layer: FetchedLayer;
  readonly claim: Claim;
}

export class ReadyLayers {
  readonly #store: Store;
  readonly #admission: Admission;
  readonly #lease: Lease;
  readonly #onPublished: (layers: readonly FetchedLayer[]) => void;
  #ready: Ready[] = [];
  #timer: NodeJS.Timeout | undefined;
  #failed: { readonly error: unknown } | undefined;

  /**
   * @param onPublished called before the claims are released, so that other processes then find all facts about the
   * layers
   */
  constructor({ context, request, admission }: Pull, onPublished: (layers: readonly FetchedLayer[]) => void) {
    this.#store = context.store;
    this.#admission = admission;
    this.#lease = request.lease;
    this.#onPublished = onPublished;
  }

  /** Adds a layer. Its claim is released once the layer is in place, or cannot be. */
  add(layer: FetchedLayer, claim: Claim): void {
    this.#ready.push({ layer, claim });
    this.#timer ??= setTimeout(() => this.#publish(), PUBLISH_WITHIN_MS);
  }

  /** Stops: no further layer is renamed into place, since a disk that failed to write one layer may have lost any. */
  fail(error: unknown): void {
    this.#failed ??= { error };
  }

  /** Renames the rest into place. @throws the error of this or an earlier batch */
  finish(): void {
    this.#publish();
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#ready;
    this.#ready = [];
    const layers = batch.map(({ layer }) => layer);
    let left = layers;
    try {
      if (this.#failed !== undefined || layers.length === 0) return;
      this.#lease.add(layers.map(({ record }) => record.key));
      // From here on the store removes layers that it cannot rename into place.
      left = [];
      publishDelivered(this.#store, this.#admission, layers);
      this.#onPublished(layers);
    } catch (error) {
      this.fail(error);
    } finally {
      for (const { staged } of left) this.#store.layers.discard(staged);
      for (const { claim } of batch) claim.release();
    }
  }
}
