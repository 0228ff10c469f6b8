/**
 * Looks for a remembered plan whose layers are all there: the first question of a create, and in most cases the last.
 * The code that fetches lies elsewhere, so that a warm create does not load it.
 */
import { isOutside, type LayerKey, type StackKey, stackKey } from '../../store/layout/layer-key.ts';
import type { Lease } from '../../store/records/leases.ts';
import { EVERYBODY, type StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import type { ResolvedImage } from '../source/source.ts';
import type { NamedLayer } from './layer-names.ts';

/**
 * The plan for an image whose layers are all there, or undefined. `isOpen` and `admittedPlan` decide whether the caller may
 * have them. Extends the lease before it looks.
 */
export function cachedPlan(store: Store, layers: readonly NamedLayer[], lease: Lease): StackPlan | undefined {
  const keys = keysOf(layers);
  if (keys !== undefined) return cachedPlanOf(store, keys, lease);
  lease.add(layers.flatMap(({ key }) => key ?? []));
  return undefined;
}

/** The name of the layers together; undefined while one of them is a tar that was never read. */
export function stackOf(layers: readonly NamedLayer[]): StackKey | undefined {
  const keys = keysOf(layers);
  return keys && stackKey(keys);
}

function keysOf(layers: readonly NamedLayer[]): LayerKey[] | undefined {
  const keys = layers.map(({ key }) => key);
  return keys.every((key) => key !== undefined) ? keys : undefined;
}

/** The remembered plan for layers and directories of these names; undefined when a part of it is missing. */
export function cachedPlanOf(store: Store, names: readonly string[], lease: Lease): StackPlan | undefined {
  const stack = stackKey(names);
  lease.add([...names, stack]);
  const plan = store.stacks.get(stack);
  if (plan === undefined) return undefined;
  lease.add(plan.uses);
  return isPresent(store, plan) ? plan : undefined;
}

/** True when the plan's layers may be given to any image of this place. */
export function isOpen({ open }: StackPlan, { place }: ResolvedImage): boolean {
  return open !== undefined && (open === EVERYBODY || open === place);
}

/** True when the store has every lower directory of its own that the plan names. */
function isPresent(store: Store, plan: StackPlan): boolean {
  return plan.lowers.every((lower) => isOutside(lower) || store.layers.has(lower));
}
