/** What the store keeps about a published layer: its shim, its mask, and what a walk of it found. */
import { toHostId } from '../../base/id-mapping.ts';
import type { PublishedLayer } from '../../cvmfs/locate.ts';
import type { ShimPlan } from '../../cvmfs/shim-plan.ts';
import { type OwnerMap, SAME_OWNERS, writeShim } from '../../cvmfs/write-shim.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';
import { maskOf, type PublishedKey, shimOf, type VolumeName } from '../../store/layout/layer-key.ts';
import { discardStaged, stageDirectory } from '../../store/layout/staging.ts';
import type { PublishedRecord } from '../../store/records/published.ts';
import type { Store } from '../../store/store.ts';
import { mkdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import type { ImageLayer, LayerBytes } from '../source/source.ts';
import type { Repaired } from './repair-layer.ts';

/** A layer of the image, found in a repository. */
export interface PublishedUse {
  readonly name: PublishedKey;
  readonly found: PublishedLayer;
}

/** The layer's own source, for what publishing lost of it. */
export interface RepairSource {
  readonly budget: LayerBudget;
  open(layer: ImageLayer): Promise<LayerBytes>;
}

/**
 * Shim and mask first: a record that is there says that they are.
 * @param source for a layer that is to be repaired
 * @returns what was repaired
 * @throws Unrepairable, and what the source and the layer's bytes throw
 */
export async function keepPlan(
  store: Store,
  layer: ImageLayer,
  use: PublishedUse,
  plan: ShimPlan,
  source: RepairSource | undefined,
): Promise<Repaired | undefined> {
  const { shim, mask, facts, rootHidden } = plan;
  const owners = ownersOf(store, use.found);
  if (shim.length > 0)
    await buildVolume(store, shimOf(use.name), 'once', (target) => writeShim(target, shim, owners));
  let repaired: Repaired | undefined;
  if (source !== undefined) {
    // The tar reader and what unpacks blobs: few layers need them.
    const { repairLayer } = await import('./repair-layer.ts');
    await buildVolume(store, maskOf(use.name), 'always', async (target) => {
      writeShim(target, mask, owners);
      repaired = await repairLayer({
        layer,
        bytes: await source.open(layer),
        budget: source.budget,
        published: use.found.path,
        target,
        mappings: store.format.mappings,
        shown: ({ uid, gid }) => ({ uid: owners.uid(uid), gid: owners.gid(gid) }),
      });
    });
  } else if (mask.length > 0) {
    await buildVolume(store, maskOf(use.name), 'once', (target) => writeShim(target, mask, owners));
  }
  const isImplied = (name: string) => repaired?.explicitDirs.has(name) !== true;
  store.published.put(use.name, {
    path: use.found.path,
    diffId: layer.diffId?.slice('sha256:'.length),
    bytes: use.found.tarBytes ?? facts.fileBytes ?? 0,
    explicitRoot: repaired?.explicitDirs.has('') ?? facts.explicitRoot,
    impliedDirs: facts.impliedDirs.filter(isImplied),
    hollowDirs: facts.hollowDirs.filter(isImplied),
    opaqueDirs: facts.opaqueDirs,
    rootHidden,
    hasShim: shim.length > 0,
    hasMask: mask.length > 0 || source !== undefined,
    isRepaired: source !== undefined,
  });
  return repaired;
}

/** Remembered too: finding it out takes a walk. */
export function keepUnusable(store: Store, use: PublishedUse, reason: string): void {
  store.published.put(use.name, { ...UNUSABLE, path: use.found.path, unusable: reason });
}

const UNUSABLE: Omit<PublishedRecord, 'path'> = {
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

/** Shims hold the ids that the container's mount shows. */
function ownersOf(store: Store, found: PublishedLayer): OwnerMap {
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
