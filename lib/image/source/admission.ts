/**
 * Whether whoever asks may have a layer that the store has. To name it proves nothing: digests and diffIDs are no
 * secrets, and an image may name any. It may have what its own source would deliver: what an anonymous caller got, what
 * the cell got from the image's own place, and what that place says yes to now. All else counts as missing: the image's
 * source delivers it again, verified, and so proves that it has it.
 */
import { settleLimited } from '../../base/pool.ts';
import type { Authenticate } from '../../registry/policy/policy.ts';
import { type LayerKey, layerKeyOrUndefined } from '../../store/layout/layer-key.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import { EVERYBODY, type StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import type { ImageSource, ResolvedImage } from './source.ts';

export interface AdmissionDeps {
  readonly store: Store;
  readonly source: Pick<ImageSource, 'mayRead'>;
  readonly signal: AbortSignal;
  /** `registries.always_authenticate`, looked up where something is not open to everybody; `private` unless given. */
  readonly authenticate?: (() => Promise<Authenticate>) | undefined;
}

/** Questions to a registry at a time: they are small, and wait for each other on few connections. */
const AT_A_TIME = 8;

/** For one image of one caller. */
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

  /** True when the store has the layer and whoever asks may have it, as far as is known without a question. */
  has(key: LayerKey): boolean {
    if (!this.#deps.store.layers.has(key)) return false;
    if (this.#asksNobody === true || this.#admitted.has(key)) return true;
    if (this.#places === undefined) return false;
    if (!this.#deps.store.layers.grants(key).some((grant) => this.#fits(grant))) return false;
    this.#admitted.add(key);
    return true;
  }

  /**
   * Asks the image's place about the layers that it has to be asked for. True when all of these are there and admitted.
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

  /** The source has delivered the layer now. */
  received(key: LayerKey): void {
    this.#admitted.add(key);
  }

  /** Whose images may be given all of these without a question: `EVERYBODY`, or those of one place. */
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
      // The place says yes to an anonymous caller, or to the cell: it need not be asked again.
      if (as !== 'asked')
        store.layers.addGrant(key, as === 'cell' ? { to: as, place: grant.place } : { to: as });
      return;
    }
  }
}

/** Where the image's layers would come from. URLs are the business of a layout on this machine. */
async function placesOf({ place, layers }: ResolvedImage): Promise<ReadonlySet<string>> {
  const places = new Set(place === undefined ? [] : [place]);
  const remote = place === LOCAL ? layers.filter(({ urls }) => urls.length > 0) : [];
  if (remote.length > 0) {
    const { placesOfUrls } = await import('./remote-layer.ts');
    for (const layer of remote) for (const one of placesOfUrls(layer)) places.add(one);
  }
  return places;
}

/** The layers of the store that a plan shows. */
export function layersOf(store: Store, plan: StackPlan): LayerKey[] {
  const keys = [...plan.lowers, ...plan.uses].flatMap((name) => layerKeyOrUndefined(name) ?? []);
  return [...new Set(keys)].filter((key) => store.layers.has(key));
}
