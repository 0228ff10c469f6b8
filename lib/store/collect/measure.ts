import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { layerKeyOrUndefined, stackKeyOrUndefined } from '../layout/layer-key.ts';
import {
  type Counted,
  type ShortKey,
  type StackCount,
  shortKey,
  type Totals,
} from '../records/totals-file.ts';
import { listVolumes, sizeOf, volumeSize } from '../records/volume-size.ts';
import type { Store } from '../store.ts';
import { factBytes } from './bounds.ts';
import { planCollection } from './collect.ts';

/** Sums over the whole store, in bytes. Reads every record: for `clean`, `usage` and gauges, never for a create. */
export interface Measured extends Totals {
  /** What GrootFS's metrics of these names count: files of layers in use, and of the others. */
  readonly usedFileBytes: number;
  readonly unusedFileBytes: number;
  readonly filesystemUsedBytes: number;
  readonly filesystemTotalBytes: number;
}

/** Layers and quotas can hardly add up to more than the filesystem holds: a clean with this threshold never acts. */
export function isReachable(thresholdBytes: number, filesystemBytes: number): boolean {
  return thresholdBytes < filesystemBytes;
}

export function measure(store: Store): Measured {
  const committedBytes = store.images
    .list()
    .reduce((sum, id) => sum + store.images.number(id, 'image_quota'), 0);
  let [layerBytes, fileBytes] = [0, 0];
  for (const volume of listVolumes(store.layout)) {
    const size = volumeSize(store, volume);
    layerBytes += sizeOf(size);
    fileBytes += size.fileBytes;
  }
  const unusedFileBytes = planCollection(store).bytes;
  const filesystem = filesystemOf(store.layout.root);
  return {
    committedBytes,
    layerBytes,
    factBytes: factBytes(store.layout),
    fileBytes,
    usedFileBytes: fileBytes - unusedFileBytes,
    unusedFileBytes,
    filesystemUsedBytes: filesystem.totalBytes - filesystem.freeBytes,
    filesystemTotalBytes: filesystem.totalBytes,
  };
}

/**
 * For the running totals: what `measure` found, and on which stacks the images are. A layer of several stacks is the first
 * one's own. Reads the records of images and of the layers in use once more.
 */
export function countStacks(store: Store, measured: Measured): Counted {
  const stacks = new Map<ShortKey, StackCount>();
  const seen = new Set<string>();
  for (const id of store.images.list()) {
    const uses = store.images.recordIfReadable(id)?.uses ?? [];
    const stack = uses.map(stackKeyOrUndefined).find((key) => key !== undefined);
    if (stack === undefined) continue;
    const known = stacks.get(shortKey(stack));
    const fileBytes = known?.fileBytes ?? store.images.number(id, 'image_info');
    const ownBytes = known?.ownBytes ?? bytesOfNew(store, uses, seen);
    stacks.set(shortKey(stack), { images: (known?.images ?? 0) + 1, fileBytes, ownBytes });
  }
  const { committedBytes, layerBytes, factBytes, fileBytes } = measured;
  return { totals: { committedBytes, layerBytes, factBytes, fileBytes }, stacks };
}

/** Files of the layers among `uses` that are not in `seen`, which takes them in. */
function bytesOfNew(store: Store, uses: readonly string[], seen: Set<string>): number {
  let bytes = 0;
  for (const use of uses) {
    const key = layerKeyOrUndefined(use);
    if (key === undefined || seen.has(key)) continue;
    seen.add(key);
    bytes += volumeSize(store, key).fileBytes;
  }
  return bytes;
}
