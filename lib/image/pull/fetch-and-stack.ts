/** The part of a pull that a create of remembered layers does not need, and does not load. */
import { inTurns } from '../../base/turns.ts';
import { stackKey } from '../../store/layout/layer-key.ts';
import type { Lease } from '../../store/records/leases.ts';
import type { CvmfsLayers } from '../cvmfs/cvmfs-layers.ts';
import { layersOf } from '../source/admission.ts';
import { LayerTurns, patienceOf } from '../source/layer-turns.ts';
import type { ResolvedImage } from '../source/source.ts';
import { planStack, STACK_RULES } from '../stack/stack.ts';
import { assembleLayers } from './assemble.ts';
import type { AdmittedDeps, PulledImage } from './context.ts';
import type { NamedLayer } from './layer-names.ts';
import { MissingLayers } from './missing-layers.ts';

/**
 * Fetches the layers that neither the store nor a repository has, and works out how all layers stack.
 * @throws as `pullImage`
 */
export async function fetchAndStack(
  deps: AdmittedDeps,
  image: ResolvedImage,
  wanted: readonly NamedLayer[],
  search: CvmfsLayers | undefined,
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
  const rules = deps.stackRules ?? STACK_RULES;
  const placed = await assembleLayers(deps, placeable, { lease, turns, rules });
  // The stack is named after the layers as the image lists them, since the next create knows only those.
  const key = stackKey(placeable.map((one) => one.published?.name ?? one.key ?? ''));
  lease.add([key]);
  const planned = await inTurns(planStack(store, { key, layers: placed.layers }, rules), deps.signal);
  const plan = { ...planned, open: deps.admission.openTo(layersOf(store, planned)) };
  store.stacks.put(key, plan);
  const choices = search?.choices ?? new Map();
  return { plan, fetched: [...fetch.fetched, ...placed.fetched], choices };
}
