/** The layers that containers and running creates use, by their records and leases. */
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists } from '../../sys/kernel/look.ts';
import { bootTimeMs } from '../../sys/kernel/process.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import { usesBelow } from '../../sys/mounts/in-use.ts';
import { isMountRoot } from '../../sys/mounts/mountinfo.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { Layout } from '../layout/layout.ts';
import type { Images } from '../records/images.ts';
import type { Layers } from '../records/layers.ts';
import { readLeases, unreadableLease } from '../records/leases.ts';
import { mountedUses } from './mounted-uses.ts';

/** The parts of a store that tell what is in use. */
export interface InUse {
  readonly layout: Layout;
  readonly images: Images;
  readonly layers: Layers;
}

/**
 * The names in use now. Leases are read before image records, since a create writes its record before it drops its
 * lease.
 * @throws STORE_DAMAGED when a running container may use any layer, since its record cannot be read: then no layer
 * may be deleted
 */
export function namesInUse(store: InUse): Set<string> {
  const names = new Set<string>();
  const leases = readLeases(store.layout);
  const damaged = unreadableLease(leases);
  if (damaged !== undefined) {
    const path = `${store.layout.leases}/${damaged.name}`;
    throw new PluginError('STORE_DAMAGED', { path, reason: damaged.damage ?? '' });
  }
  for (const lease of leases) if (lease.alive) for (const use of lease.uses) names.add(use);
  const made = new Set(leases.flatMap(({ alive, image }) => (alive ? [image] : [])));
  for (const id of store.images.list()) for (const use of usesOf(store, id, made.has(id))) names.add(use);
  return names;
}

function usesOf(store: InUse, id: ImageId, isBeingMade: boolean): readonly string[] {
  try {
    const record = store.images.record(id);
    return record?.uses ?? (isBeingMade ? [] : usesWithoutRecord(store, id));
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    const mounted = mountedUses(store, id);
    if (mounted !== undefined) return mounted.uses;
    if (mayRun(store, id)) throw error;
    return [];
  }
}

/**
 * The layers of a container without a record, which may still run: its mount names them.
 * @throws STORE_DAMAGED when the container is in use and its mount cannot be seen
 */
function usesWithoutRecord(store: InUse, id: ImageId): readonly string[] {
  const mounted = mountedUses(store, id);
  if (mounted !== undefined) return mounted.uses;
  if (!usesBelow(store.layout.images).has(id)) return [];
  const path = store.layout.imageRecord(id);
  throw new PluginError('STORE_DAMAGED', { path, reason: 'it is gone, and the container is in use' });
}

/**
 * Whether a container may run on the image. Records are not synced: if a power cut damaged one, its container ended
 * with it.
 */
export function mayRun(store: InUse, id: ImageId): boolean {
  const rootfs = store.layout.rootfs(id);
  if (exists(rootfs) && isMountRoot(rootfs)) return true;
  const mtime = statIfThere(AT_FDCWD, store.layout.imageRecord(id))?.mtime;
  if (mtime === undefined || mtime.sec * 1000 >= bootTimeMs()) return true;
  // The mount may be in another mount namespace, or a process may use the container without a mount.
  return usesBelow(store.layout.images).has(id);
}
