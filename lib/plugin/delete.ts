import { isPluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { removeImage } from '../store/collect/remove.ts';
import { parseIdOrPath } from '../store/layout/image-id.ts';
import { Layout } from '../store/layout/layout.ts';
import { OpenedStore, storeRoot } from '../store/opened.ts';
import { addToTotals } from '../store/records/totals.ts';

import { countImage } from './metrics/count-image.ts';
import { releaseLayers } from './release-layers.ts';

export type Deleted = { readonly id: string } | { readonly notFound: string } | { readonly outside: string };

/**
 * Deletes an image, by id or path. Garden deletes every handle from both of its stores, also handles that never
 * existed: so an image that does not exist is no error.
 * @throws SysError when the image exists and stays
 */
export async function deleteImage(storePath: string, argument: string, log: Logger): Promise<Deleted> {
  try {
    const root = storeRoot(storePath);
    const id = parseIdOrPath(argument, new Layout(root).root);
    const store = OpenedStore.open(root);
    const quota = store.images.number(id, 'image_quota');
    const uses = store.images.recordIfReadable(id)?.uses ?? [];
    const image = countImage(uses, store.images.number(id, 'image_info'), -1);
    const removed = await removeImage(store, id, log);
    if (removed) addToTotals(store, { committedBytes: -quota }, log, image);
    if (removed) await releaseLayers(store, uses, log);
    return removed ? { id } : { notFound: id };
  } catch (error) {
    if (isPluginError(error, 'IMAGE_OUTSIDE_STORE')) return { outside: argument };
    if (isPluginError(error, 'IMAGE_ID_INVALID') && argument !== '') return { notFound: argument };
    if (isPluginError(error, 'STORE_NOT_INITIALIZED')) return { notFound: argument };
    throw error;
  }
}
