/**
 * Fills the store with an image's layers and works out how they stack.
 *
 * The order makes it safe without a lock: the caller's lease names the layers before any look whether they are there.
 * Claims keep several creates from fetching the same layer. A process never waits for another claim while it has
 * finished layers of its own to rename into place, so two processes cannot wait for each other.
 */
import type { Lease } from '../../store/records/leases.ts';
import { EVERYBODY, type StackPlan } from '../../store/records/stacks.ts';
import type { CvmfsLayers } from '../cvmfs/cvmfs-layers.ts';
import type { RepairSource } from '../cvmfs/layer-volumes.ts';
import { Admission, layersOf } from '../source/admission.ts';
import type { ResolvedImage } from '../source/source.ts';
import { cachedPlan, cachedPlanOf, isOpen, stackOf } from './cached-plan.ts';
import type { AdmittedDeps, PullDeps, PulledImage } from './context.ts';
import { inPlaceFor } from './in-place.ts';
import { type NamedLayer, nameLayers } from './layer-names.ts';

/**
 * Fetches missing layers and returns the plan.
 * @throws the errors of the source, of the layers (LAYER_*), STORE_FULL, IMAGE_TOO_MANY_LAYERS
 */
export async function pullImage(given: PullDeps, image: ResolvedImage, lease: Lease): Promise<PulledImage> {
  const { store } = given;
  const deps: AdmittedDeps = { ...given, admission: new Admission(given, image) };
  const present = await admittedPlan(deps, image, lease);
  if (present) return { plan: present, fetched: [], choices: new Map() };
  const wanted = nameLayers(store, image);
  const keys = wanted.flatMap(({ key }) => key ?? []);
  lease.add(keys);
  await deps.admission.ask(keys);
  const search = await findOnCvmfs(deps, image, wanted, {
    budget: deps.budget,
    open: (layer) => deps.source.open(layer, deps.signal),
  });
  const choices = search?.choices ?? new Map();
  const known = search && (await planWith(deps, wanted, search, lease));
  if (known) return { plan: known, fetched: [], choices };
  const { fetchAndStack } = await import('./fetch-and-stack.ts');
  return fetchAndStack(deps, image, wanted, search, lease);
}

/**
 * The remembered plan, if the caller may have all of its layers.
 * @throws REGISTRY_* where the image's place refuses, or cannot be asked
 */
async function admittedPlan(
  { store, admission }: Pick<AdmittedDeps, 'store' | 'admission'>,
  image: ResolvedImage,
  lease: Lease,
): Promise<StackPlan | undefined> {
  const plan = cachedPlan(store, image, lease);
  if (plan === undefined || isOpen(plan, image)) return plan;
  const layers = layersOf(store, plan);
  if (!(await admission.ask(layers))) return undefined;
  const open = admission.openTo(layers);
  const stack = stackOf(store, image);
  // A caller has got since then what had to be asked for, so the next create need not look at each layer.
  if (stack !== undefined && (open === EVERYBODY || (open !== undefined && plan.open === undefined)))
    store.stacks.put(stack, { ...plan, open });
  return plan;
}

/**
 * Asks the repositories for layers that the store lacks. The code for it is loaded only where repositories are
 * configured.
 */
export async function findOnCvmfs(
  deps: Pick<AdmittedDeps, 'store' | 'cvmfs' | 'log' | 'mapsIds' | 'quotaBytes' | 'admission'>,
  image: ResolvedImage,
  wanted: readonly NamedLayer[],
  repairs?: RepairSource,
): Promise<CvmfsLayers | undefined> {
  const { store, log, admission } = deps;
  const cvmfs = inPlaceFor(image, await deps.cvmfs?.());
  if (cvmfs === undefined) return undefined;
  const lacking = wanted.filter(({ key }) => key === undefined || !admission.has(key));
  const { CvmfsLayers } = await import('../cvmfs/cvmfs-layers.ts');
  const search = new CvmfsLayers({
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

/** The remembered plan for this mixture of layers on CVMFS and layers of the store. */
async function planWith(
  { store, admission }: AdmittedDeps,
  wanted: readonly NamedLayer[],
  search: CvmfsLayers,
  lease: Lease,
): Promise<StackPlan | undefined> {
  const names = wanted.map(({ layer, key }) => search.uses.get(layer)?.name ?? key);
  if (search.uses.size === 0 || !names.every((name) => name !== undefined)) return undefined;
  const plan = cachedPlanOf(store, names, lease);
  return plan && (await admission.ask(layersOf(store, plan))) ? plan : undefined;
}
