import { MiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { withInitLock } from '../store/init/init.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import { projectIdOf } from '../store/records/project-ids.ts';
import type { Store } from '../store/store.ts';
import { isMountRoot } from '../sys/mounts/mountinfo.ts';
import { getProjectUsage, setProjectLimit } from '../sys/mounts/quota.ts';
import { MIN_QUOTA_INODES } from './limit.ts';
import { mountContainer } from './mount-image.ts';

/** Bytes for the directory that overlayfs makes in the work directory: more than it needs, only during the mount. */
const SLACK_BYTES = MiB;
/** Overlayfs makes a few names in its work directory when it mounts. */
const SLACK_INODES = 16;

export interface Restored {
  readonly mounted: number;
  readonly failed: readonly string[];
}

/**
 * Mounts the rootfs of every image that was mounted before a reboot. A failed mount is reported. The lock of
 * init-store is held: two restores at once would both find a rootfs unmounted and mount it twice, and a delete of the
 * image would remove only one of the mounts.
 */
export function restoreMounts(store: Store, log: Logger): Promise<Restored> {
  return withInitLock(store.layout, () => restoreEach(store, log));
}

async function restoreEach(store: Store, log: Logger): Promise<Restored> {
  let mounted = 0;
  const failed: string[] = [];
  for (const id of store.images.list()) {
    try {
      const record = store.images.record(id);
      // A caller that mounts the overlay itself finds the layers mounted, as the create left them.
      if (record?.mounted === false) await mountLayers(store, record.lowers);
      if (!record?.mounted || isMountRoot(store.layout.rootfs(id))) continue;
      await mountAgain(store, id, record);
      mounted += 1;
    } catch (error) {
      log.error('rootfs-not-mounted', error, { id });
      failed.push(id);
    }
  }
  return { mounted, failed };
}

/**
 * Mounts one container. When a container has used all of its limit, overlayfs cannot make `work/work`, and mounts the
 * rootfs read-only without an error (seen on 6.1). So the limit is a little higher during the mount. The limit
 * afterwards comes from the image's own file: if a restore is killed in between, the next restore corrects the limit.
 */
async function mountAgain(store: Store, id: ImageId, record: ImageRecord): Promise<void> {
  const path = store.layout.image(id);
  const projectId = projectIdOf(path);
  const limit = projectId === 0 ? 0 : store.images.number(id, 'image_quota');
  const inodes = projectId === 0 ? 0 : inodeLimitOf(path, projectId, record);
  if (limit === 0 && inodes === 0) {
    await mountContainer(store, id, record);
    return;
  }
  setProjectLimit({ path }, projectId, {
    bytes: limit === 0 ? 0 : limit + SLACK_BYTES,
    ...(inodes === 0 ? {} : { inodes: inodes + SLACK_INODES }),
  });
  try {
    await mountContainer(store, id, record);
  } finally {
    setProjectLimit({ path }, projectId, { bytes: limit, ...(inodes === 0 ? {} : { inodes }) });
  }
}

/**
 * The quota that the container has, 0 for none. A kernel without quotas is asked nothing. A restore that was killed left the
 * slack; the limit that was asked for is the most that the quota was before.
 */
function inodeLimitOf(path: string, projectId: number, { limits }: ImageRecord): number {
  if (limits?.inodes === undefined) return 0;
  const set = getProjectUsage({ path }, projectId)?.inodeLimit ?? 0;
  return Math.min(set, Math.max(limits.inodes, MIN_QUOTA_INODES));
}
