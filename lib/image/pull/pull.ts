/**
 * Fills the store with an image's layers and works out how they stack.
 *
 * The order makes it safe without a lock: the caller's lease names the layers before any look whether they are there.
 * Claims keep several creates from fetching the same layer. A process never waits for another claim while it has
 * finished layers of its own to rename into place, so two processes cannot wait for each other.
 */

import { EVERYBODY, type StackPlan } from '../../store/records/stacks.ts';
import { claimOrWait } from '../../sys/exclusive/claim.ts';
import type { CvmfsLayers } from '../cvmfs/cvmfs-layers.ts';
import type { RepairSource } from '../cvmfs/layer-volumes.ts';
import { Admission, layersOf } from '../source/admission.ts';
import { declaredSize } from '../source/image-layer.ts';
import { patienceOf, waitEnd } from '../source/layer-turns.ts';
import { cachedPlan, cachedPlanOf, isOpen, stackOf } from './cached-plan.ts';
import type { Pull, PullContext, PulledImage, PullRequest } from './context.ts';
import { inPlaceFor } from './in-place.ts';

/**
 * Lets one of many creates that want the same layers fetch them and work out their stack. The other creates wait and find
 * its plan, without the code for it, which costs each of them a third of a warm create.
 *
 * The claim is taken before any claim on a layer, and no process waits for it while it has one, so no circle of waiting
 * processes forms. The process with the claim may fetch from a registry that never ends, so the wait is bounded by the size
 * of the image's own layers.
 * @param cached the plan that `cachedPlan` has found and that is not open to the caller
 * @throws as `pullImage`
 */
export async function pullInTurn(
  context: PullContext,
  request: PullRequest,
  cached: StackPlan | undefined,
): Promise<PulledImage> {
  const { store, log, signal } = context;
  const { image, layers, lease } = request;
  const stack = stackOf(layers);
  // A plan whose place has to be asked needs no other process.
  if (stack === undefined || cached !== undefined) return pullImage(context, request, cached);
  const patience = patienceOf({ since: request.since, patience: context.patience });
  const bytes = image.layers.reduce((sum, layer) => sum + (declaredSize(layer) ?? 0), 0);
  using claim = await claimOrWait(`${store.layout.locks}/${stack}.claim`, signal, {
    until: waitEnd(patience, bytes),
    onPoll: (holder) => log.debug('waiting-for-image', { image: image.name, pid: holder?.pid }),
  });
  // Another process may have made the plan since the first look.
  const made = cachedPlan(store, layers, lease);
  return claim === undefined && made !== undefined && isOpen(made, image)
    ? { plan: made, fetched: [], choices: new Map() }
    : await pullImage({ ...context, patience }, request, made);
}

/**
 * Fetches missing layers and returns the plan.
 * @param cached the plan that `cachedPlan` has found
 * @throws the errors of the source, of the layers (LAYER_*), STORE_FULL, IMAGE_TOO_MANY_LAYERS
 */
export async function pullImage(
  context: PullContext,
  request: PullRequest,
  cached: StackPlan | undefined,
): Promise<PulledImage> {
  const pull: Pull = { context, request, admission: new Admission(context, request.image) };
  if (cached !== undefined && (await isAdmitted(pull, cached)))
    return { plan: cached, fetched: [], choices: new Map() };
  await pull.admission.ask(request.layers.flatMap(({ key }) => key ?? []));
  const onCvmfs = await findOnCvmfs(pull, {
    budget: context.budget,
    open: (layer) => context.source.open(layer, context.signal),
  });
  const known = onCvmfs && (await mixedPlan(pull, onCvmfs));
  if (known) return { plan: known, fetched: [], choices: onCvmfs.choices };
  const { fetchAndStack } = await import('./fetch-and-stack.ts');
  return fetchAndStack(pull, onCvmfs);
}

/**
 * True when the caller may have all layers of the plan.
 * @throws REGISTRY_* where the image's place refuses, or cannot be asked
 */
async function isAdmitted({ context, request, admission }: Pull, plan: StackPlan): Promise<boolean> {
  if (isOpen(plan, request.image)) return true;
  const { store } = context;
  const layers = layersOf(store, plan);
  if (!(await admission.ask(layers))) return false;
  const open = admission.openTo(layers);
  const stack = stackOf(request.layers);
  // A caller has got since then what had to be asked for, so the next create need not look at each layer.
  if (stack !== undefined && (open === EVERYBODY || (open !== undefined && plan.open === undefined)))
    store.stacks.put(stack, { ...plan, open });
  return true;
}

/** Asks the repositories for layers that the store lacks. The code for it is loaded only where repositories are configured. */
export async function findOnCvmfs(
  {
    context,
    request,
    admission,
  }: {
    readonly context: Pick<PullContext, 'store' | 'cvmfs' | 'log'>;
    readonly request: Pick<PullRequest, 'image' | 'layers' | 'mapsIds' | 'quotaBytes'>;
    readonly admission: Admission;
  },
  repairs?: RepairSource,
): Promise<CvmfsLayers | undefined> {
  const { store, log } = context;
  const cvmfs = inPlaceFor(request.image, await context.cvmfs?.());
  if (cvmfs === undefined) return undefined;
  const missing = request.layers.filter(({ key }) => key === undefined || !admission.has(key));
  const { CvmfsLayers } = await import('../cvmfs/cvmfs-layers.ts');
  const onCvmfs = new CvmfsLayers({
    store,
    cvmfs,
    log,
    mapsIds: request.mapsIds,
    countsBytes: request.quotaBytes !== undefined,
    repairs,
  });
  await onCvmfs.find(
    request.image,
    missing.map(({ layer }) => layer),
  );
  return onCvmfs;
}

/** The remembered plan for this mixture of layers on CVMFS and layers of the store. */
async function mixedPlan(
  { context: { store }, request, admission }: Pull,
  onCvmfs: CvmfsLayers,
): Promise<StackPlan | undefined> {
  const names = request.layers.map(({ layer, key }) => onCvmfs.uses.get(layer)?.name ?? key);
  if (onCvmfs.uses.size === 0 || !names.every((name) => name !== undefined)) return undefined;
  const plan = cachedPlanOf(store, names, request.lease);
  return plan && (await admission.ask(layersOf(store, plan))) ? plan : undefined;
}
