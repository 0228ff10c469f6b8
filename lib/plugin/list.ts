import { PluginError } from '../base/errors/error.ts';
import { imageIdOrUndefined } from '../store/layout/image-id.ts';
import { Layout } from '../store/layout/layout.ts';
import { OpenedStore, storeExists, storeRoot } from '../store/opened.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import { listNames } from '../sys/kernel/look.ts';

export interface ListedImage {
  readonly id: string;
  readonly path: string;
  /** Reads its record; undefined when there is none or it is damaged. Records of 1,000 layers have half a megabyte. */
  readonly record: () => ImageRecord | undefined;
}

/** @throws STORE_MISSING when there is no directory at the store's path, and all errors of opening a store */
export function listImages(storePath: string): ListedImage[] {
  const layout = new Layout(storeRoot(storePath));
  if (!storeExists(layout)) throw new PluginError('STORE_MISSING', { store: layout.root });
  const store = OpenedStore.open(layout.root);
  return listNames(layout.images).flatMap((name) => {
    const id = imageIdOrUndefined(name);
    return id === undefined
      ? []
      : [{ id, path: layout.image(id), record: () => store.images.recordIfReadable(id) }];
  });
}
