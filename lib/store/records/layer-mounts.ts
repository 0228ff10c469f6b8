/**
 * The mounts of layers that are images. Each is mounted once for all containers: a second mount of the same file would have a
 * cache of its own. A mount is made by the first create that needs it, after a reboot too, and removed with the last container
 * that uses it (lib/store/collect/unmount-layers.ts). A create that mounts has a lease on the layer, so nobody removes the
 * mount before the overlay is there; the overlay does not need it any more.
 */
import { hasCode } from '../../sys/kernel/errno.ts';
import { exists } from '../../sys/kernel/look.ts';
import { isErofs } from '../../sys/mounts/is-erofs.ts';
import type { StoreFormat } from '../layout/format.ts';
import { type LayerKey, layerKeyOrUndefined } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';

interface Mounting {
  readonly layout: Layout;
  readonly format: StoreFormat;
}

/**
 * Makes sure that each layer's tree shows: mounts the images among them. The caller's lease or a container's record names the
 * layers. Names that are no layer's, and absolute paths, are left out.
 * @returns true where one of them is an image
 * @throws STORE_DAMAGED, STORE_MOUNT_FAILED, STORE_BUSY
 */
export async function mountLayers(store: Mounting, volumes: Iterable<string>): Promise<boolean> {
  let hasImages = false;
  for (const volume of volumes) {
    const key = layerKeyOrUndefined(volume);
    if (key === undefined || isDirectoryLayer(store.layout, key)) continue;
    if (!isThereAndMounted(store.layout, key)) {
      // A layer that is gone has no tree either, which the caller finds out.
      if (!exists(store.layout.volume(key))) continue;
      const { mountLayer } = await import('./mount-layer.ts');
      if (!mountLayer(store, key)) continue;
    }
    hasImages = true;
  }
  return hasImages;
}

/** True for an image that is mounted; false for a layer that is gone. */
export function isThereAndMounted(layout: Layout, key: LayerKey): boolean {
  try {
    return isErofs(layout.tree(key));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * A layer that is a directory has a manifest of its tree. Of a layer without one the record tells: the empty directory
 * that an image is mounted at would be taken for a layer else, where the image was lost.
 */
function isDirectoryLayer(layout: Layout, key: LayerKey): boolean {
  return exists(`${layout.volume(key)}/tree`);
}
