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

/**
 * Sums over the whole store, in bytes. Measuring reads every record: `clean`, `usage` and gauges do it, a create
 * never.
 */
export interface Measured extends Totals {
  /** Bytes of the files of layers in use, and of the other layers: GrootFS's metrics of these names. */
  readonly usedFileBytes: number;
  readonly unusedFileBytes: number;
  readonly filesystemUsedBytes: number;
  readonly filesystemTotalBytes: number;
}

/**
 * False when the threshold is above the filesystem's size: layers and quotas hardly reach it, so no clean ever acts.
 */
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
 * Counts for the running totals: the sums of `measure`, and the images of each stack. A layer of several stacks
 * counts as the first one's own. Reads the records of the images and of the layers in use a second time.
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

/** Bytes of the files of the layers in `uses` that are not in `seen`; adds them to `seen`. */
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
