/**
 * Unmounts images of layers that no container uses. A mount costs the machine some kilobytes, and every process that lists
 * mounts a line. A running overlay has clones of its lower directories, so a mount that is removed too early costs a second
 * cache and no container its files.
 */
import { isPluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { isErofs } from '../../sys/mounts/is-erofs.ts';
import { unmount } from '../../sys/mounts/mount.ts';
import { detachMount, mountsBelow } from '../../sys/mounts/mounts-below.ts';
import { type LayerKey, layerKeyOrUndefined } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isThereAndMounted } from '../records/layer-mounts.ts';
import { whileNobodyNames } from '../records/leases.ts';
import { type InUse, namesInUse } from './names-in-use.ts';

/**
 * Unmounts those of some layers that no image record and no lease names.
 * @returns the number of them
 */
export function unmountUnused(store: InUse, layers: Iterable<string>, log: Logger): number {
  const mounted = [...new Set(layers)].flatMap((name) => {
    const key = layerKeyOrUndefined(name);
    return key !== undefined && isThereAndMounted(store.layout, key) ? [key] : [];
  });
  if (mounted.length === 0) return 0;
  try {
    // While the gate is closed, no create can name a layer, find it mounted and make an overlay of it.
    return whileNobodyNames(store.layout, () => {
      const used = namesInUse(store);
      return mounted.filter((key) => !used.has(key) && unmountOne(store.layout, key)).length;
    });
  } catch (error) {
    // A record or a lease that cannot be read may name any layer; or a stopped create keeps the gate. All stay mounted.
    if (!isPluginError(error)) throw error;
    log.info('layers-stay-mounted', { layers: mounted.length, reason: error.code });
    return 0;
  }
}

/** Unmounts all layers that no container uses. @returns the number of them */
export function unmountAllUnused(store: InUse, log: Logger): number {
  return unmountUnused(store, mountedLayers(store.layout), log);
}

/** Unmounts the image of a volume that is being deleted, at any path. Its file goes with the last overlay that reads it. */
export function detachImage(volume: string): void {
  const tree = `${volume}/fs`;
  try {
    // A second mount lies over the first where two mount namespaces share their mounts.
    for (let left = MAX_MOUNTS; left > 0 && isErofs(tree); left -= 1) unmount(tree, { detach: true });
  } catch (error) {
    // Without a tree there is no mount; the deletion reports all else.
    if (!(error instanceof SysError)) throw error;
  }
}
const MAX_MOUNTS = 16;

/** Unmounts the images of all layers, also those of volumes that a clean renamed. */
export function detachAllImages(layout: Layout): void {
  for (const { mount, below } of mountsBelow(layout.volumes))
    if (mount.fsType === 'erofs' && /^[^/]+\/fs$/.test(below)) detachMount(mount);
}

function mountedLayers(layout: Layout): string[] {
  return mountsBelow(layout.volumes).flatMap(({ mount, below }) =>
    mount.fsType === 'erofs' && below.endsWith('/fs') ? [below.slice(0, -'/fs'.length)] : [],
  );
}

function unmountOne(layout: Layout, key: LayerKey): boolean {
  try {
    unmount(layout.tree(key));
    return true;
  } catch (error) {
    // A process has the tree open, or the layer has gone. The next clean tries again.
    if (hasCode(error, 'EBUSY', 'EINVAL', 'ENOENT')) return false;
    throw error;
  }
}
