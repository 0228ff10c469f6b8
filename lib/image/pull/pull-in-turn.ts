/**
 * Lets one of many creates that want the same layers fetch them and work out their stack. The other creates wait and
 * find its plan, without the code for it, which costs each of them a third of a warm create.
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
 * Pulls an image for which `cachedPlan` has no plan. The claim is taken before any claim on a layer, and no process
 * waits for it while it has one, so no circle of waiting processes forms. The process with the claim may fetch from a
 * registry that never ends, so the wait is bounded by the size of the image's own layers.
 * @throws as `pullImage`
 */
export async function pullInTurn(deps: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { store, log, signal } = deps;
  const stack = stackOf(store, image);
  // A plan whose place has to be asked needs no other process.
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

/** The plan, if the caller may have it without a question to its place. */
function openPlan(store: Store, image: ResolvedImage, lease: Lease): StackPlan | undefined {
  const plan = cachedPlan(store, image, lease);
  return plan !== undefined && isOpen(plan, image) ? plan : undefined;
}

async function pullNow(deps: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { pullImage } = await import('./pull.ts');
  return pullImage(deps, image, lease);
}
