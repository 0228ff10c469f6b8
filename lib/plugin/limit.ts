import { PluginError } from '../base/errors/error.ts';
import { MIN_QUOTA_BYTES } from '../base/limits.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import { projectIdOf } from '../store/records/project-ids.ts';
import type { Store } from '../store/store.ts';
import { type LackOfQuotas, type QuotaDevice, quotaSupport } from '../sys/mounts/quota.ts';

/** A disk limit as asked for. Inclusive: the image's layers count; exclusive: only what the container writes. */
export interface DiskLimit {
  readonly bytes: number;
  readonly exclusive: boolean;
}

/** Where limits can be set. @throws QUOTA_UNSUPPORTED: a limit that is not enforced must never pass for one. */
export function quotaDevice(store: Store): QuotaDevice {
  const quota = quotaSupport(store.layout.root);
  if (!quota.supported) throw unsupported(store, quota.reason, quota.lacking);
  // Nothing of another project can be renamed to a directory whose project is inherited: EXDEV (fs/xfs/xfs_inode.c).
  if (projectIdOf(store.layout.images) !== 0)
    throw unsupported(store, 'a directory above it has a project quota of its own', 'filesystem');
  return quota.device;
}

function unsupported(store: Store, reason: string, lacking: LackOfQuotas): PluginError {
  return new PluginError('QUOTA_UNSUPPORTED', { store: store.layout.root, reason, lacking });
}

/**
 * Before a byte is fetched: the declared sizes of the layers are compressed, so a lower bound of what they take.
 * @throws IMAGE_EXCEEDS_LIMIT
 */
export function checkDeclaredSize(image: ResolvedImage, limit: DiskLimit | undefined): void {
  if (limit === undefined || limit.exclusive) return;
  const size = image.layers.reduce((sum, layer) => sum + (layer.size ?? 0), 0);
  if (size > limit.bytes) throw new PluginError('IMAGE_EXCEEDS_LIMIT', { size, limit: limit.bytes });
}

/**
 * What the project quota is set to: an inclusive limit less the layers' files. Never below the floor that
 * GrootFS has, since a directory alone needs some blocks.
 * @throws QUOTA_LIMIT_TOO_SMALL when the layers alone are larger
 */
export function effectiveLimit(limit: DiskLimit, layerBytes: number): number {
  const left = limit.exclusive ? limit.bytes : limit.bytes - layerBytes;
  if (left < 0) throw new PluginError('QUOTA_LIMIT_TOO_SMALL', { limit: limit.bytes, size: layerBytes });
  return Math.max(left, MIN_QUOTA_BYTES);
}
