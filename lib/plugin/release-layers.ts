import type { Logger } from '../base/log.ts';
import { layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import type { OpenedStore } from '../store/opened.ts';
import { isThereAndMounted } from '../store/records/layer-mounts.ts';

/**
 * Unmounts those of some layers that no container uses any more. The code for it is loaded only where one of them is an image
 * that is mounted. A failure is logged: the next clean unmounts them.
 */
export async function releaseLayers(store: OpenedStore, uses: Iterable<string>, log: Logger): Promise<void> {
  try {
    const mounted = [...uses].filter((use) => {
      const key = layerKeyOrUndefined(use);
      return key !== undefined && isThereAndMounted(store.layout, key);
    });
    if (mounted.length === 0) return;
    const [{ unmountUnused }, { Layers }] = await Promise.all([
      import('../store/collect/unmount-layers.ts'),
      import('../store/records/layers.ts'),
    ]);
    const { layout, images } = store;
    unmountUnused({ layout, images, layers: new Layers(layout) }, mounted, log);
  } catch (error) {
    log.error('layers-not-unmounted', error);
  }
}
