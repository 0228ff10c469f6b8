import type { Logger } from '../base/log.ts';
import { layerKeyOrUndefined, shortName } from '../store/layout/layer-key.ts';
import type { OpenedStore } from '../store/opened.ts';
import { isThereAndMounted } from '../store/records/layer-mounts.ts';
import { mountLines } from '../sys/mounts/mountinfo.ts';

/**
 * Unmounts those of some layers that no container uses any more. The code for it is loaded only where one of them is an image
 * that is mounted. A failure is logged: the next clean unmounts them.
 */
export async function releaseLayers(store: OpenedStore, uses: Iterable<string>, log: Logger): Promise<void> {
  try {
    const mounted = [...uses].flatMap((use) => {
      const key = layerKeyOrUndefined(use);
      return key !== undefined && isThereAndMounted(store.layout, key) ? [key] : [];
    });
    if (mounted.length === 0) return;
    // Most layers have other containers, whose overlays name them: their records need not be read. Another store may have
    // the same layers.
    const isMentioned = mountLines(`upperdir=${store.layout.images}/`);
    const unseen = mounted.filter((key) => !isMentioned(shortName(key)));
    if (unseen.length === 0) return;
    const [{ unmountUnused }, { Layers }] = await Promise.all([
      import('../store/collect/unmount-layers.ts'),
      import('../store/records/layers.ts'),
    ]);
    const { layout, images } = store;
    unmountUnused({ layout, images, layers: new Layers(layout) }, unseen, log);
  } catch (error) {
    log.error('layers-not-unmounted', error);
  }
}
