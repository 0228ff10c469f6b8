/** Makes the store's own part of a layer on CVMFS: its shim, its mask, and the record of its walk. */

import type { ByteName } from '../../base/bytes.ts';
import { toHostId } from '../../base/id-mapping.ts';
import type { FoundLayer } from '../../cvmfs/found-layer.ts';
import type { Guesses } from '../../cvmfs/guesses.ts';
import type { ShimPlan } from '../../cvmfs/shim-plan.ts';
import { type OwnerMap, SAME_OWNERS, writeShim } from '../../cvmfs/write-shim.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';
import { type CvmfsKey, maskOf, shimOf, type VolumeName } from '../../store/layout/layer-key.ts';
import { discardStaged, stageDirectory } from '../../store/layout/staging.ts';
import type { CvmfsRecord, UnusableDoubt } from '../../store/records/cvmfs-records.ts';
import type { Store } from '../../store/store.ts';
import { mkdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { blobOfLayer, type ImageLayer } from '../source/image-layer.ts';
import type { LayerBytes } from '../source/source.ts';
import type { Repaired } from './repair-sink.ts';

/** A layer of the image that a repository has. */
export interface CvmfsUse {
  readonly name: CvmfsKey;
  readonly found: FoundLayer;
}

/** The layer's own source, for attributes that publishing lost. */
export interface RepairSource {
  readonly budget: LayerBudget;
  open(layer: ImageLayer): Promise<LayerBytes>;
}

/** The repair of a layer: its source, and a second plan with facts from its tar. */
export interface Repair {
  readonly source: RepairSource;
  readonly guesses: Guesses;
  /** The plan for the case that these directories have entries of their own. */
  planWith(explicit: readonly ByteName[]): Promise<ShimPlan>;
}

/** The remembered part of a layer: its plan, and the accepted open questions as sentences. */
export interface Kept {
  readonly plan: ShimPlan;
  readonly accepted: readonly string[];
}

/**
 * Makes shim and mask, and then the record: a record means that both are there.
 * @returns the result of the repair
 * @throws Unrepairable, the errors of the source and of the layer's bytes, and those of `repair.planWith`
 */
export async function keepPlan(
  store: Store,
  layer: ImageLayer,
  use: CvmfsUse,
  kept: Kept,
  repair: Repair | undefined,
): Promise<Repaired | undefined> {
  const owners = ownersOf(store, use.found);
  let { plan } = kept;
  let repaired: Repaired | undefined;
  if (repair !== undefined) {
    await buildVolume(store, maskOf(use.name), 'always', async (target) => {
      repaired = await repairInto(store, layer, use, { target, owners, repair });
      const { explicitDirs } = repaired;
      const explicit = repair.guesses.directories.filter((path) => explicitDirs.has(path));
      if (explicit.length > 0) plan = await repair.planWith(explicit);
      writeShim(target, plan.mask, owners, explicitDirs);
    });
  } else if (plan.mask.length > 0) {
    await buildVolume(store, maskOf(use.name), 'once', (target) => writeShim(target, plan.mask, owners));
  }
  const { shim, mask, facts, rootHidden } = plan;
  if (shim.length > 0)
    await buildVolume(store, shimOf(use.name), 'once', (target) => writeShim(target, shim, owners));
  store.cvmfsRecords.put(use.name, {
    path: use.found.path,
    diffId: blobOfLayer(layer)?.diffId?.slice('sha256:'.length),
    bytes: use.found.tarBytes ?? facts.fileBytes ?? 0,
    explicitRoot: repaired?.explicitDirs.has('') ?? facts.explicitRoot,
    impliedDirs: facts.impliedDirs,
    hollowDirs: facts.hollowDirs,
    opaqueDirs: facts.opaqueDirs,
    rootHidden,
    hasShim: shim.length > 0,
    hasMask: mask.length > 0 || repair !== undefined,
    isRepaired: repair !== undefined,
    accepted: kept.accepted,
  });
  return repaired;
}

async function repairInto(
  store: Store,
  layer: ImageLayer,
  use: CvmfsUse,
  to: { readonly target: string; readonly owners: OwnerMap; readonly repair: Repair },
): Promise<Repaired> {
  // Loaded late: few layers need the tar reader and the code that unpacks blobs.
  const { repairLayer } = await import('./repair-layer.ts');
  const { source, guesses } = to.repair;
  return await repairLayer({
    layer,
    bytes: await source.open(layer),
    budget: source.budget,
    damaged: use.found.path,
    target: to.target,
    mappings: store.format.mappings,
    guessed: new Set(guesses.directories),
    shown: ({ uid, gid }) => ({ uid: to.owners.uid(uid), gid: to.owners.gid(gid) }),
  });
}

/** Records an unusable layer, since the next create would need a walk, or the layer's tar, to find the fault again. */
export function keepUnusable(store: Store, use: CvmfsUse, doubt: UnusableDoubt, reason: string): void {
  store.cvmfsRecords.put(use.name, { ...UNUSABLE, path: use.found.path, unusable: reason, doubt });
}

const UNUSABLE: Omit<CvmfsRecord, 'path'> = {
  bytes: 0,
  explicitRoot: true,
  impliedDirs: [],
  hollowDirs: [],
  opaqueDirs: [],
  rootHidden: [],
  hasShim: false,
  hasMask: false,
  isRepaired: false,
};

/** The owners in shims: the ids that the container's mount shows. */
function ownersOf(store: Store, found: FoundLayer): OwnerMap {
  if (!found.needsIdmap) return { ...SAME_OWNERS, root: store.owner };
  const { uids, gids } = store.format.mappings;
  return {
    root: store.owner,
    uid: (id) => toHostId(uids, id) ?? store.owner.uid,
    gid: (id) => toHostId(gids, id) ?? store.owner.gid,
  };
}

async function buildVolume(
  store: Store,
  volume: VolumeName,
  when: 'once' | 'always',
  fill: (target: string) => void | Promise<void>,
): Promise<void> {
  if (when === 'once' && store.layers.has(volume)) return;
  const stage = stageDirectory(store.layout, 'shim');
  try {
    mkdirAt(AT_FDCWD, `${stage}/fs`, 0o755);
    await fill(`${stage}/fs`);
    store.layers.publishShim(stage, volume);
  } catch (error) {
    discardStaged(stage);
    throw error;
  }
}
