import { filesystemOf } from '../sys/statfs.ts';
import { planCollection } from './collect.ts';
import type { Store } from './store.ts';

/** Sums over the whole store, in bytes. Reads every record: for `clean`, `usage` and gauges, never for a create. */
export interface Measured {
  /** Limits of all images. */
  readonly committedBytes: number;
  /** Files of all layers. */
  readonly layerBytes: number;
  readonly unusedLayerBytes: number;
  readonly usedLayerBytes: number;
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
  const layerBytes = store.layers.list().reduce((sum, key) => sum + store.layers.fileBytes(key), 0);
  const unusedLayerBytes = planCollection(store).bytes;
  const filesystem = filesystemOf(store.layout.root);
  return {
    committedBytes,
    layerBytes,
    unusedLayerBytes,
    usedLayerBytes: layerBytes - unusedLayerBytes,
    filesystemUsedBytes: filesystem.totalBytes - filesystem.freeBytes,
    filesystemTotalBytes: filesystem.totalBytes,
  };
}
