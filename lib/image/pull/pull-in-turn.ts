/**
 * Of many creates that want the same layers at once one fetches them and works out their stack, and the others find
 * its plan: without the code that does it, which costs each of them a third of a warm create.
 */
import type { Lease } from '../../store/records/leases.ts';
import type { StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { claimOrWait } from '../../sys/exclusive/claim.ts';
import { patienceOf, waitEnd } from '../source/layer-turns.ts';
import type { ResolvedImage } from '../source/source.ts';
import { cachedPlan, isOpen, stackOf } from './cached-plan.ts';
import type { PullDeps, PulledImage } from './context.ts';

/**
 * `pullImage` for an image that `cachedPlan` knows no plan for. The claim is taken before any claim on a layer and
 * never waited for while one is held, so nobody waits in a circle. Who has it may fetch from a registry that never ends:
 * it is waited for as long as the image's own layers may take.
 * @throws as `pullImage`
 */
export async function pullInTurn(deps: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { store, log, signal } = deps;
  const stack = stackOf(store, image);
  // What is there and has to be asked for needs nobody else.
  if (stack === undefined || cachedPlan(store, image, lease) !== undefined)
    return pullNow(deps, image, lease);
  const path = `${store.layout.locks}/${stack}.claim`;
  const patience = patienceOf(deps);
  const bytes = image.layers.reduce((sum, { size }) => sum + (size ?? 0), 0);
  using claim = await claimOrWait(path, signal, {
    until: waitEnd(patience, bytes),
    onPoll: (holder) => log.debug('waiting-for-image', { image: image.name, pid: holder?.pid }),
  });
  const plan = claim === undefined ? openPlan(store, image, lease) : undefined;
  return plan
    ? { plan, fetched: [], choices: new Map() }
    : await pullNow({ ...deps, patience }, image, lease);
}

/** A plan that has to be asked for is `pullImage`'s business. */
function openPlan(store: Store, image: ResolvedImage, lease: Lease): StackPlan | undefined {
  const plan = cachedPlan(store, image, lease);
  return plan !== undefined && isOpen(plan, image) ? plan : undefined;
}

async function pullNow(deps: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { pullImage } = await import('./pull.ts');
  return pullImage(deps, image, lease);
}
