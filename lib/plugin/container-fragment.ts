/** The fragment of a runtime specification for a container that exists, as `create` printed it. */
import { PluginError } from '../base/errors/error.ts';
import type { ImageConfig } from '../oci/config.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import type { Store } from '../store/store.ts';
import { mountAt } from '../sys/mounts/mountinfo.ts';
import { accountFilesBelow } from './account-files.ts';
import { processUser } from './process-user.ts';
import { type RuntimeSpec, runtimeSpec } from './runtime-spec.ts';

/** The record of a complete container. @throws IMAGE_NOT_FOUND */
export function containerRecord(store: Store, id: ImageId): ImageRecord {
  const record = store.images.exists(id) ? store.images.record(id) : undefined;
  if (record === undefined || record.deleting === true) throw new PluginError('IMAGE_NOT_FOUND', { id });
  return record;
}

/**
 * @param config of its image; undefined for an image without one
 * @throws RUN_NOT_MOUNTED: a second mount of the same upper directory could damage it, so that none is made here
 */
export function containerFragment(store: Store, id: ImageId, config: ImageConfig | undefined): RuntimeSpec {
  const rootfs = store.layout.rootfs(id);
  if (mountAt(rootfs)?.fsType !== 'overlay')
    throw new PluginError('RUN_NOT_MOUNTED', { id, store: store.layout.root });
  const user =
    config === undefined
      ? { uid: 0, gid: 0 }
      : processUser(config.user, accountFilesBelow(rootfs), store.format.mappings);
  return runtimeSpec(rootfs, config, user, undefined);
}
