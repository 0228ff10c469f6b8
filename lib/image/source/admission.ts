/**
 * Decides whether a caller may have a layer that the store has. To name a layer proves nothing: digests and diffIDs are
 * no secrets, and an image may name any. A caller may have what the image's own source would deliver: content that an
 * anonymous caller got, content that the cell got from the image's own place, and content for which that place says yes
 * now. Any other layer counts as missing: the image's source delivers it again, verified, and so proves that it has it.
 */

import { settleLimited } from '../../base/pool.ts';
import type { Authenticate } from '../../registry/policy/policy.ts';
import { type LayerKey, layerKeyOrUndefined } from '../../store/layout/layer-key.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import { EVERYBODY, type StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { blobOfLayer } from './image-layer.ts';
import type { ImageSource, ResolvedImage } from './source.ts';

export interface AdmissionDeps {
  readonly store: Store;
  readonly source: Pick<ImageSource, 'mayRead'>;
  readonly signal: AbortSignal;
  /**
   * The setting `registries.always_authenticate`, read when a layer is not open to everybody; `private` unless given.
   */
  readonly authenticate?: (() => Promise<Authenticate>) | undefined;
}

/**
 * Questions to a registry at the same time. They are small, and more of them would wait for each other on few
 * connections.
 */
const AT_A_TIME = 8;

/** The decision for one image of one caller. */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #image: ResolvedImage;
  readonly #admitted = new Set<LayerKey>();
  #places: ReadonlySet<string> | undefined;
  #asksNobody: boolean | undefined;

  constructor(deps: AdmissionDeps, image: ResolvedImage) {
    this.#deps = deps;
    this.#image = image;
  }

  /**
   * True when the store has the layer and the caller may have it, as far as is known without a question to the place.
   */
  has(key: LayerKey): boolean {
    if (!this.#deps.store.layers.has(key)) return false;
    if (this.#asksNobody === true || this.#admitted.has(key)) return true;
    if (this.#places === undefined) return false;
    if (!this.#deps.store.layers.grants(key).some((grant) => this.#fits(grant))) return false;
    this.#admitted.add(key);
    return true;
  }

  /**
   * Asks the image's place about the layers that it has to be asked for. Returns true when the store has all of these
   * and the caller may have them.
   * @throws REGISTRY_* where the place refuses (401, 403) or cannot be asked
   */
  async ask(keys: readonly LayerKey[]): Promise<boolean> {
    this.#asksNobody ??= (await this.#deps.authenticate?.()) === 'never';
    this.#places ??= await placesOf(this.#image);
    const { layers } = this.#deps.store;
    const unknown = [...new Set(keys)].filter((key) => !this.has(key) && layers.has(key));
    const asked = await settleLimited(unknown, AT_A_TIME, (key) => this.#askFor(key));
    for (const one of asked) if (one.status === 'rejected') throw one.reason;
    return keys.every((key) => this.has(key));
  }

  /** Records that the source has delivered the layer now. */
  received(key: LayerKey): void {
    this.#admitted.add(key);
  }

  /** The images that may have all these layers without a question: `EVERYBODY`, or the images of one place. */
  openTo(keys: readonly LayerKey[]): string | undefined {
    const grants = keys.map((key) => this.#deps.store.layers.grants(key));
    if (grants.every((list) => list.some(({ to }) => to === 'everybody'))) return EVERYBODY;
    const { place } = this.#image;
    const isOpen = (grant: Grant) =>
      grant.to === 'everybody' || (grant.to === 'cell' && grant.place === place);
    return grants.every((list) => list.some(isOpen)) ? place : undefined;
  }

  #fits(grant: Grant): boolean {
    if (grant.to === 'everybody') return true;
    return grant.to === 'cell' && this.#places?.has(grant.place) === true;
  }

  async #askFor(key: LayerKey): Promise<void> {
    const { store, source, signal } = this.#deps;
    for (const grant of store.layers.grants(key)) {
      if (grant.to !== 'asked' || this.#places?.has(grant.place) !== true) continue;
      const as = await source.mayRead?.(grant, signal);
      if (as === undefined) continue;
      this.#admitted.add(key);
      // The place gives the layer to an anonymous caller, or to the cell: a later create need not ask again.
      if (as !== 'asked')
        store.layers.addGrant(key, as === 'cell' ? { to: as, place: grant.place } : { to: as });
      return;
    }
  }
}

/** The places that the image's layers would come from. Only a layout on this machine takes layers from URLs. */
async function placesOf({ place, layers }: ResolvedImage): Promise<ReadonlySet<string>> {
  const places = new Set(place === undefined ? [] : [place]);
  const remote = place === LOCAL ? layers.flatMap((layer) => blobOfLayer(layer)?.urls ?? []) : [];
  if (remote.length > 0) {
    const { placesOfUrls } = await import('../../registry/blobs/layer-urls.ts');
    for (const one of placesOfUrls(remote)) places.add(one);
  }
  return places;
}

/** The layers of the store that a plan shows. */
export function layersOf(store: Store, plan: StackPlan): LayerKey[] {
  const keys = [...plan.lowers, ...plan.uses].flatMap((name) => layerKeyOrUndefined(name) ?? []);
  return [...new Set(keys)].filter((key) => store.layers.has(key));
}
