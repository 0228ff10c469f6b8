import { existsSync, lstatSync } from 'node:fs';
import { isPluginError } from '../base/errors/error.ts';
import type { Layout } from '../store/layout/layout.ts';
import { listVolumes, sizeOf, volumeSize } from '../store/records/volume-size.ts';
import { Store } from '../store/store.ts';

/** The contents of a store, for the question before it is deleted. */
export interface StoreOutline {
  readonly store: string;
  /** Ids of root filesystems; undefined where the store cannot be opened, not being mounted for instance. */
  readonly images: readonly string[] | undefined;
  readonly layers: number;
  readonly layerBytes: number;
  /** The loop file beside the store, with the bytes that it takes on the disk below. */
  readonly backing: { readonly path: string; readonly onDiskBytes: number } | undefined;
}

export function storeOutline(layout: Layout): StoreOutline {
  const { root, backing: path } = layout;
  // st_blocks counts 512 bytes whatever the filesystem's block is (stat(2)).
  const backing = existsSync(path) ? { path, onDiskBytes: lstatSync(path).blocks * 512 } : undefined;
  const none = { store: root, images: undefined, layers: 0, layerBytes: 0, backing };
  try {
    const store = Store.open(root);
    try {
      const volumes = listVolumes(store.layout);
      const layerBytes = volumes.reduce((sum, volume) => sum + sizeOf(volumeSize(store, volume)), 0);
      return { ...none, images: store.images.list(), layers: volumes.length, layerBytes };
    } finally {
      store[Symbol.dispose]();
    }
  } catch (error) {
    if (isPluginError(error)) return none;
    throw error;
  }
}
