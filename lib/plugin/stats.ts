import { isPluginError, PluginError } from '../base/errors/error.ts';
import { type ImageId, parseIdOrPath } from '../store/layout/image-id.ts';
import { OpenedStore, storeRoot } from '../store/opened.ts';
import { getProjectUsage } from '../sys/mounts/quota.ts';

/** Garden decodes this as a map of maps of unsigned integers, so that no other field may be added. */
export interface Stats {
  readonly disk_usage: {
    readonly total_bytes_used: number;
    readonly exclusive_bytes_used: number;
    readonly quota_size_bytes: number;
    readonly committed_space_bytes: number;
    /** Only with a limit on inodes. */
    readonly inodes_used?: number;
    readonly inode_limit?: number;
  };
}

/**
 * The disk usage of a container, in bytes. Without a limit XFS counts nothing, and the container's own part is 0, as
 * in GrootFS.
 */
export function imageStats(storePath: string, argument: string): Stats {
  const root = storeRoot(storePath);
  const id = parseIdOrPath(argument, root);
  const store = openFor(id, root);
  if (!store.images.exists(id)) throw new PluginError('IMAGE_NOT_FOUND', { id });
  const layers = store.images.number(id, 'image_info');
  // A delete removes the file with the size first. So only a size of 0 is a reason to read the record.
  if (layers === 0 && store.images.isBeingDeleted(id)) throw new PluginError('IMAGE_NOT_FOUND', { id });
  const path = store.layout.image(id);
  const projectId = store.projectIds.of(path);
  const usage = projectId === 0 ? undefined : getProjectUsage({ path }, projectId);
  const exclusive = usage?.usedBytes ?? 0;
  const quota = usage?.limitBytes ?? 0;
  return {
    disk_usage: {
      total_bytes_used: layers + exclusive,
      exclusive_bytes_used: exclusive,
      quota_size_bytes: quota,
      committed_space_bytes: layers + quota,
      ...(usage !== undefined && usage.inodeLimit > 0
        ? { inodes_used: usage.inodes, inode_limit: usage.inodeLimit }
        : {}),
    },
  };
}

/** Garden asks its other store after "not found". A store that was never initialised contains no image either. */
function openFor(id: ImageId, root: string): OpenedStore {
  try {
    return OpenedStore.open(root);
  } catch (error) {
    if (!isPluginError(error, 'STORE_NOT_INITIALIZED')) throw error;
    throw new PluginError('IMAGE_NOT_FOUND', { id, noStore: root }, { cause: error });
  }
}
