/**
 * Fills the store with an image's layers and works out how they stack.
 *
 * The order is what makes it safe without a lock: the caller's lease names the layers before anybody looks
 * whether they are there. Claims keep several creates from fetching the same layer; a process never waits for
 * another's claim while it has finished layers of its own to publish, so two of them cannot wait for each other.
 */
import type { CvmfsDeps } from '../cvmfs/locate.ts';
import type { Lease } from '../store/leases.ts';
import type { StackPlan } from '../store/stacks.ts';
import type { Store } from '../store/store.ts';
import type { FetchDeps, FetchedLayer } from './fetch-layer.ts';
import type { Patience } from './layer-turns.ts';
import { knownPlan, planIfPresent } from './present.ts';
import type { LayerChoice, PublishedSearch } from './published.ts';
import type { RepairSource } from './published-volumes.ts';
import type { ImageLayer, ResolvedImage } from './source.ts';
import type { StackRules } from './stack.ts';
import { type WantedLayer, wantedLayers } from './wanted.ts';

export interface PullDeps extends FetchDeps {
  /** Layers fetched and unpacked at a time. */
  readonly concurrency: number;
  /** Repositories that layers may be used from where they are. Asked for when the store lacks a layer, not before. */
  readonly cvmfs?: (() => Promise<CvmfsDeps | undefined>) | undefined;
  /** False when somebody else will mount the plan, who cannot be asked for an idmapped mount. */
  readonly mapsIds?: boolean | undefined;
  /** When the verb began, in milliseconds of `performance.now()`: from then on it waits for others; now, if not said. */
  readonly since?: number | undefined;
  /** How long others are waited for, in tests. */
  readonly patience?: Patience | undefined;
  /** All of them unless said otherwise. */
  readonly stackRules?: StackRules | undefined;
}

export interface PulledImage {
  readonly plan: StackPlan;
  /** The layers that were fetched now; all others were there. */
  readonly fetched: readonly FetchedLayer[];
  /** Where layers come from that CVMFS was asked for, and why. */
  readonly choices: ReadonlyMap<ImageLayer, LayerChoice>;
}

/**
 * Fetches what is missing and returns the plan.
 * @throws the errors of the source, of the layers (LAYER_*), STORE_FULL, IMAGE_TOO_MANY_LAYERS
 */
export async function pullImage(deps: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { store } = deps;
  const present = planIfPresent(store, image, lease);
  if (present) return { plan: present, fetched: [], choices: new Map() };
  const wanted = wantedLayers(store, image);
  lease.add(wanted.flatMap(({ key }) => key ?? []));
  const search = await findPublished(deps, image, wanted, {
    budget: deps.budget,
    open: (layer) => deps.source.open(layer, deps.signal),
  });
  const choices = search?.choices ?? new Map();
  const known = search && planWith(store, wanted, search, lease);
  if (known) return { plan: known, fetched: [], choices };
  const { fetchAndStack } = await import('./fetch-and-stack.ts');
  return fetchAndStack(deps, image, wanted, search, lease);
}

/** Asks the repositories for what the store lacks. The code that does it is loaded where there are any. */
export async function findPublished(
  deps: Pick<PullDeps, 'store' | 'cvmfs' | 'log' | 'mapsIds' | 'quotaBytes'>,
  image: ResolvedImage,
  wanted: readonly WantedLayer[],
  repairs?: RepairSource,
): Promise<PublishedSearch | undefined> {
  const { store, log } = deps;
  const cvmfs = await deps.cvmfs?.();
  if (cvmfs === undefined) return undefined;
  const lacking = wanted.filter(({ key }) => key === undefined || !store.layers.has(key));
  const { PublishedSearch } = await import('./published.ts');
  const search = new PublishedSearch({
    store,
    cvmfs,
    log,
    mapsIds: deps.mapsIds !== false,
    countsBytes: deps.quotaBytes !== undefined,
    repairs,
  });
  await search.find(
    image,
    lacking.map(({ layer }) => layer),
  );
  return search;
}

/** The remembered plan for this very mixture of published layers and layers of the store. */
function planWith(
  store: Store,
  wanted: readonly WantedLayer[],
  search: PublishedSearch,
  lease: Lease,
): StackPlan | undefined {
  const names = wanted.map(({ layer, key }) => search.uses.get(layer)?.name ?? key);
  if (search.uses.size === 0 || !names.every((name) => name !== undefined)) return undefined;
  return knownPlan(store, names, lease);
}
