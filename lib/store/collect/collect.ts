/**
 * Garbage collection. A volume is in use when an image record or a live lease names it; a shim is in use when its layer
 * or its stack is named. Unused volumes are deleted in three steps (invariant 2 of layout.ts):
 *   1. read leases and image records, and choose the volumes that none of them names;
 *   2. close the gate, so that no create can name a layer, read again, and rename to volumes/gc.<name> the chosen
 *      volumes that are still unnamed;
 *   3. delete the renamed volumes. This may take long, but no create waits for it, and none finds the renamed volumes.
 * The gate would not be needed if a clean renamed back what a create has named meanwhile. But a create that reads a layer
 * between the two renames finds names missing, and would remember a wrong stack.
 */

import { isPluginError, PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { RENAME_NOREPLACE, renameAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import {
  type LayerKey,
  layerKeyOrUndefined,
  shortName,
  usedThrough,
  type VolumeName,
} from '../layout/layer-key.ts';
import { newOwnerName } from '../layout/owner-name.ts';
import { removeName, trash, trashOrPutBack } from '../layout/staging.ts';
import { cachedImages, keptUses } from '../records/cached-images.ts';
import { readLeases, unreadableLease, whileNobodyNames } from '../records/leases.ts';
import { listVolumes, sizeOf, volumeSize } from '../records/volume-size.ts';
import type { Store } from '../store.ts';
import { forEachLogged } from './each.ts';
import { whyKept } from './kept-images.ts';
import { type LeftOver, leftOver, noting } from './left-over.ts';
import { namesInUse } from './names-in-use.ts';
import { detachImage } from './unmount-layers.ts';
import { removeUnusedCvmfsRecords, removeUnusedRecords } from './unused-records.ts';

export interface CollectPlan {
  /** Layers and shims that no image record and no lease names. */
  readonly unused: readonly VolumeName[];
  /** Bytes of the files of the unused layers, as GrootFS counts them. */
  readonly bytes: number;
  /** Bytes of the unused layers and shims on the disk. */
  readonly diskBytes: number;
  /** Bytes of each of the unused on the disk: sizes are files of the store, and each is read once. */
  readonly sizes: ReadonlyMap<VolumeName, number>;
  /** The unused ones that stay, since an image is kept that needs them. */
  readonly spared: Spared;
  /** A record or lease that cannot be read: it may name any layer, so all layers are kept. */
  readonly kept: Unreadable | undefined;
}

export interface Spared {
  /** Kept images with a layer that nothing else uses. */
  readonly images: number;
  /** Bytes of these layers and shims on the disk. */
  readonly diskBytes: number;
}

/** A record or a lease that cannot be read: its path, and the reason. */
export interface Unreadable {
  readonly path: string;
  readonly reason: string;
}

/**
 * Plans a clean. A record or lease that cannot be read does not throw: the plan keeps all layers and names the file.
 * @param keep patterns of the names of images whose layers stay, beside those of `pull --keep` (lib/base/wildcard.ts)
 */
export function planCollection(store: Store, keep: readonly string[] = []): CollectPlan {
  let used: Set<string>;
  try {
    used = namesInUse(store);
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    return { unused: [], bytes: 0, diskBytes: 0, sizes: new Map(), spared: NONE_SPARED, kept: error.subject };
  }
  const idle = listVolumes(store.layout).filter((volume) => !used.has(usedThrough(volume)));
  const images = cachedImages(store.layout).filter((image) => whyKept(image, keep) !== undefined);
  const needed = new Set(images.flatMap(({ uses }) => uses));
  const isSpared = (volume: VolumeName) => needed.has(usedThrough(volume));
  const [unused, spared] = [idle.filter((volume) => !isSpared(volume)), idle.filter(isSpared)];
  const sizes = unused.map((volume) => [volume, volumeSize(store, volume)] as const);
  const diskSizes = new Map(sizes.map(([volume, size]) => [volume, sizeOf(size)]));
  const sparing = new Set(spared.map(usedThrough));
  return {
    unused,
    bytes: sizes.reduce((sum, [, { fileBytes }]) => sum + fileBytes, 0),
    diskBytes: sumOf(diskSizes, unused),
    sizes: diskSizes,
    spared: {
      images: images.filter(({ uses }) => uses.some((use) => sparing.has(use))).length,
      diskBytes: spared.reduce((sum, volume) => sum + sizeOf(volumeSize(store, volume)), 0),
    },
    kept: undefined,
  };
}

const NONE_SPARED: Spared = { images: 0, diskBytes: 0 };

/** The sum of the sizes of some volumes of a plan. */
export function sumOf(sizes: CollectPlan['sizes'], volumes: readonly VolumeName[]): number {
  return volumes.reduce((sum, volume) => sum + (sizes.get(volume) ?? 0), 0);
}

/**
 * Deletes the planned volumes that are still unused. Returns the volumes that are gone.
 * @param left gets the volumes that could not be deleted; the next clean finds them under their new names
 * @param onLocked gets the milliseconds until the gate was closed, once
 */
export async function collect(
  store: Store,
  plan: CollectPlan,
  log: Logger,
  left: LeftOver[] = [],
  onLocked?: (milliseconds: number) => void,
): Promise<VolumeName[]> {
  const started = performance.now();
  const gone: VolumeName[] = [];
  for (let from = 0; from < plan.unused.length; from += BATCH) {
    const batch = plan.unused.slice(from, from + BATCH);
    const away = whileNobodyNames(store.layout, () => {
      if (from === 0) onLocked?.(performance.now() - started);
      return setAside(store, batch, log, left);
    });
    await forEachLogged(away, log, NOT_COLLECTED, (volume) =>
      noting(left, renamedPath(store, volume), () => {
        removeVolume(store, renamedPath(store, volume));
        gone.push(volume);
      }),
    );
  }
  if (plan.kept === undefined) {
    await dropBadOnes(store, log, left);
    // Records of layers on CVMFS are deleted like layers: a create whose lease names one must find it until its end.
    whileNobodyNames(store.layout, () => removeUnusedCvmfsRecords(store, namesInUse(store)));
  }
  // Nothing is unused, so the gate was not closed and nothing had to wait.
  if (plan.unused.length === 0) onLocked?.(0);
  removeUnusedRecords(store);
  log.info('collected', { volumes: gone.length, failed: left.length });
  return gone;
}

const NOT_COLLECTED = 'volume-not-collected';
/** The number of volumes that are renamed while creates wait: one rename takes some ten microseconds. */
const BATCH = 64;

/** Deletes a volume that no create finds any more. @throws SysError */
function removeVolume(store: Store, path: string): void {
  detachImage(path);
  trashOrPutBack(store.layout, path);
}

function renamedPath(store: Store, volume: string): string {
  return `${store.layout.volumes}/gc.${volume}`;
}

/** Renames the unused volumes. Returns those that are renamed now; a failure is logged and added to `left`. */
function setAside(store: Store, batch: readonly VolumeName[], log: Logger, left: LeftOver[]): VolumeName[] {
  const used = namesInUse(store);
  // A pull may have asked since the plan that its image is kept.
  for (const use of keptUses(store.layout)) used.add(use);
  return batch.filter((volume) => {
    if (used.has(usedThrough(volume))) return false;
    try {
      return setOneAside(store, volume);
    } catch (error) {
      log.error(NOT_COLLECTED, error, { item: volume });
      left.push(leftOver(store.layout.volume(volume), error));
      return false;
    }
  });
}

/** Renames one volume and removes its short link: a create that publishes the layer again makes a new link. */
function setOneAside(store: Store, volume: VolumeName): boolean {
  try {
    renameAt(AT_FDCWD, store.layout.volume(volume), AT_FDCWD, renamedPath(store, volume), RENAME_NOREPLACE);
  } catch (error) {
    // EEXIST: an earlier clean renamed a volume of this name and could not delete it. This one waits for that
    // deletion.
    if (hasCode(error, 'ENOENT', 'EEXIST')) return false;
    throw error;
  }
  removeName(store.layout, `${store.layout.links}/${shortName(volume)}`);
  return true;
}

/** The volumes that a killed clean renamed and did not delete. No create finds them under the new name. */
export function renamedForRemoval(store: Store): string[] {
  return listNames(store.layout.volumes)
    .filter((name) => name.startsWith('gc.'))
    .map((name) => name.slice('gc.'.length));
}

/**
 * Renames a bad layer, so that new creates fetch it again. Containers that run on it keep their mounts: the renamed
 * layer is deleted when no image uses a layer of that name.
 * @throws STORE_BUSY while a running create uses it
 */
export function dropBadLayer(store: Store, key: LayerKey): void {
  const away = `${store.layout.volumes}/bad.${key}.${newOwnerName()}`;
  whileNobodyNames(store.layout, () => {
    const leases = readLeases(store.layout);
    const isNamed = leases.some((lease) => lease.alive && lease.uses.includes(key));
    if (isNamed || unreadableLease(leases) !== undefined)
      throw new PluginError('STORE_BUSY', { what: 'a create that uses the layer', seconds: 0 });
    renameAt(AT_FDCWD, store.layout.volume(key), AT_FDCWD, away);
    removeName(store.layout, `${store.layout.links}/${shortName(key)}`);
  });
  if (namesInUse(store).has(key)) return;
  detachImage(away);
  trash(store.layout, away);
}

async function dropBadOnes(store: Store, log: Logger, left: LeftOver[]): Promise<void> {
  const bad = listNames(store.layout.volumes).filter((name) => name.startsWith('bad.'));
  const used = bad.length > 0 ? namesInUse(store) : new Set<string>();
  await forEachLogged(bad, log, NOT_COLLECTED, (name) => {
    const key = layerKeyOrUndefined(name.split('.').slice(1, 3).join('.'));
    if (key !== undefined && used.has(key)) return undefined;
    const path = `${store.layout.volumes}/${name}`;
    return noting(left, path, () => removeVolume(store, path));
  });
}

/**
 * Deletes what a killed clean renamed: no container used it then, and none can use it since. A volume that cannot be
 * deleted stays renamed.
 */
export async function finishCollection(store: Store, log: Logger, left: LeftOver[] = []): Promise<number> {
  const found = renamedForRemoval(store) as VolumeName[];
  const failures = await forEachLogged(found, log, NOT_COLLECTED, (volume) => {
    whileNobodyNames(store.layout, () => {
      // A clean may have been killed after its rename and before it removed the short link.
      if (!store.layers.has(volume)) removeName(store.layout, `${store.layout.links}/${shortName(volume)}`);
    });
    return noting(left, renamedPath(store, volume), () => removeVolume(store, renamedPath(store, volume)));
  });
  return found.length - failures.length;
}
