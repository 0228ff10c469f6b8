/** The half of a pull that a create of remembered layers needs nothing of, and does not load. */
import { inTurns } from '../base/turns.ts';
import { stackKey } from '../store/layer-key.ts';
import type { Lease } from '../store/leases.ts';
import { layersOf } from './admission.ts';
import { LayerTurns, patienceOf } from './layer-turns.ts';
import { MissingLayers } from './missing-layers.ts';
import { refuseTooManyNames } from './name-budget.ts';
import { placeLayers } from './place.ts';
import type { PublishedSearch } from './published.ts';
import type { AdmittedDeps, PulledImage } from './pull.ts';
import type { ResolvedImage } from './source.ts';
import { planStack, STACK_RULES } from './stack.ts';
import type { WantedLayer } from './wanted.ts';

/**
 * Fetches what neither the store nor a repository has, and works out how all of it stacks.
 * @throws as `pullImage`
 */
export async function fetchAndStack(
  deps: AdmittedDeps,
  image: ResolvedImage,
  wanted: readonly WantedLayer[],
  search: PublishedSearch | undefined,
  lease: Lease,
): Promise<PulledImage> {
  const { store } = deps;
  const turns = new LayerTurns(deps, image, patienceOf(deps));
  const published = await search?.prepare(lease);
  const fetch = new MissingLayers(
    deps,
    wanted.filter(({ layer }) => !published?.has(layer)),
    lease,
    turns,
  );
  await fetch.run();
  const placeable = wanted.map((one) => ({
    ...one,
    key: fetch.keyOf(one),
    published: published?.get(one.layer),
  }));
  refuseTooManyNames(
    store,
    new Set(placeable.flatMap(({ key, published }) => (published ? [] : (key ?? [])))),
  );
  const rules = deps.stackRules ?? STACK_RULES;
  const placed = await placeLayers(deps, placeable, { lease, turns, rules });
  // Named after the layers as the image lists them: the next create knows only those.
  const key = stackKey(placeable.map((one) => one.published?.name ?? one.key ?? ''));
  lease.add([key]);
  const planned = await inTurns(planStack(store, { key, layers: placed.layers }, rules), deps.signal);
  const plan = { ...planned, open: deps.admission.openTo(layersOf(store, planned)) };
  store.stacks.put(key, plan);
  const choices = search?.choices ?? new Map();
  return { plan, fetched: [...fetch.fetched, ...placed.fetched], choices };
}
