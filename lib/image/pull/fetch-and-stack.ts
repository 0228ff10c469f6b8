/** The part of a pull that a create of remembered layers does not need, and does not load. */
import { inTurns } from '../../base/turns.ts';
import { stackKey } from '../../store/layout/layer-key.ts';
import type { CvmfsLayers } from '../cvmfs/cvmfs-layers.ts';
import { layersOf } from '../source/admission.ts';
import { LayerTurns, patienceOf } from '../source/layer-turns.ts';
import { STACK_RULES } from '../stack/rules.ts';
import { planStack } from '../stack/stack.ts';
import { assembleLayers } from './assemble.ts';
import type { Pull, PulledImage } from './context.ts';
import { MissingLayers } from './missing-layers.ts';

/**
 * Fetches the layers that neither the store nor a repository has, and works out how all layers stack.
 * @throws as `pullImage`
 */
export async function fetchAndStack(pull: Pull, onCvmfs: CvmfsLayers | undefined): Promise<PulledImage> {
  const { context, admission } = pull;
  const { image, layers, lease, since } = pull.request;
  const { store, signal, patience } = context;
  const turns = new LayerTurns(context, image, patienceOf({ since, patience }));
  const prepared = await onCvmfs?.prepare(lease);
  const missing = new MissingLayers(
    pull,
    layers.filter(({ layer }) => !prepared?.has(layer)),
    turns,
  );
  await missing.run();
  const available = layers.map((one) => ({
    ...one,
    key: missing.keyOf(one),
    onCvmfs: prepared?.get(one.layer),
  }));
  const rules = context.stackRules ?? STACK_RULES;
  const assembled = await assembleLayers(pull, available, { turns, rules });
  // The stack is named after the layers as the image lists them, since the next create knows only those.
  const key = stackKey(available.map((one) => one.onCvmfs?.name ?? one.key ?? ''));
  lease.add([key]);
  const planned = await inTurns(planStack(store, { key, layers: assembled.layers }, rules), signal);
  const plan = { ...planned, open: admission.openTo(layersOf(store, planned)) };
  store.stacks.put(key, plan);
  const choices = onCvmfs?.choices ?? new Map();
  return { plan, fetched: [...missing.fetched, ...assembled.fetched], choices };
}
