import { PluginError } from '../base/errors/error.ts';
import { MIN_QUOTA_BYTES } from '../base/limits.ts';
import { declaredSize } from '../image/source/image-layer.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import type { LayerKey } from '../store/layout/layer-key.ts';
import { projectIdOf } from '../store/records/project-ids.ts';
import type { Store } from '../store/store.ts';
import { type LackOfQuotas, type QuotaDevice, quotaSupport } from '../sys/mounts/quota.ts';

/**
 * The requested disk limit. Inclusive: the image's layers count. Exclusive: only the files count that the container
 * writes.
 */
export interface DiskLimit {
  /** 0: bytes are not limited. */
  readonly bytes: number;
  readonly exclusive: boolean;
  /** Files, directories and all other inodes; undefined: they are not limited. */
  readonly inodes?: number | undefined;
}

/**
 * The device on which limits can be set.
 * @throws QUOTA_UNSUPPORTED, since a limit must never be accepted and not enforced
 */
export function quotaDevice(store: Store): QuotaDevice {
  const quota = quotaSupport(store.layout.root);
  if (!quota.supported) throw unsupported(store, quota.reason, quota.lacking);
  // A directory whose project is inherited takes no renames from another project: EXDEV (fs/xfs/xfs_inode.c).
  if (projectIdOf(store.layout.images) !== 0)
    throw unsupported(store, 'a directory above it has a project quota of its own', 'filesystem');
  return quota.device;
}

function unsupported(store: Store, reason: string, lacking: LackOfQuotas): PluginError {
  return new PluginError('QUOTA_UNSUPPORTED', { store: store.layout.root, reason, lacking });
}

/**
 * Checks the limit before any layer is fetched. The manifest declares compressed sizes, so their sum is a lower bound
 * of the unpacked size.
 * @throws IMAGE_EXCEEDS_LIMIT
 */
export function checkDeclaredSize(image: ResolvedImage, limit: DiskLimit | undefined): void {
  if (limit === undefined || limit.exclusive || limit.bytes === 0) return;
  const size = image.layers.reduce((sum, layer) => sum + (declaredSize(layer) ?? 0), 0);
  if (size > limit.bytes) throw new PluginError('IMAGE_EXCEEDS_LIMIT', { size, limit: limit.bytes });
}

/**
 * The project quota in bytes: the limit, less the layers' files when it is inclusive. The quota is never below the
 * minimum that GrootFS has, since even empty directories need some blocks.
 * @throws QUOTA_LIMIT_TOO_SMALL when the layers alone are larger
 */
export function effectiveLimit(limit: DiskLimit, layerBytes: number): number {
  if (limit.bytes === 0) return 0;
  const left = limit.exclusive ? limit.bytes : limit.bytes - layerBytes;
  if (left < 0) throw new PluginError('QUOTA_LIMIT_TOO_SMALL', { limit: limit.bytes, size: layerBytes });
  return Math.max(left, MIN_QUOTA_BYTES);
}

/** A container without a file of its own has ten inodes: its directories, overlayfs's and two files of the store's. */
export const MIN_QUOTA_INODES = 32;

/**
 * The inodes that the project quota gets: the limit, less the entries of the layers when it is inclusive. Reads the records
 * of the layers only for an inclusive limit.
 * @throws INODE_LIMIT_TOO_SMALL when the layers alone have more
 */
export function effectiveInodes(
  { inodes, exclusive }: DiskLimit,
  layers: readonly LayerKey[],
  store: Store,
): number | undefined {
  if (inodes === undefined) return undefined;
  if (exclusive) return Math.max(inodes, MIN_QUOTA_INODES);
  // An entry is an inode, but for hard links.
  const entries = [...new Set(layers)].reduce(
    (sum, key) => sum + (store.layers.recordIfReadable(key)?.entries ?? 0),
    0,
  );
  if (entries > inodes) throw new PluginError('INODE_LIMIT_TOO_SMALL', { limit: inodes, entries });
  return Math.max(inodes - entries, MIN_QUOTA_INODES);
}
