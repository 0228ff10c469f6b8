import { filesystemOf } from '../../sys/kernel/statfs.ts';
import type { Totals } from '../records/totals.ts';
import { listVolumes, sizeOf, volumeSize } from '../records/volume-size.ts';
import type { Store } from '../store.ts';
import { factBytes } from './bounds.ts';
import { planCollection } from './collect.ts';

/** Sums over the whole store, in bytes. Reads every record: for `clean`, `usage` and gauges, never for a create. */
export interface Measured extends Totals {
  /** What GrootFS's metrics of these names count: files of all layers, of those in use, of the others. */
  readonly fileBytes: number;
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
