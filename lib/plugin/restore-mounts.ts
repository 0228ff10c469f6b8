import { MiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { withInitLock } from '../store/init/init.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import { projectIdOf } from '../store/records/project-ids.ts';
import type { Store } from '../store/store.ts';
import { isMountRoot } from '../sys/mounts/mountinfo.ts';
import { setProjectLimit } from '../sys/mounts/quota.ts';
import { mountContainer } from './mount-image.ts';

/** What overlayfs may need to make its own directory inside the work directory; generous, and given back at once. */
const SLACK_BYTES = MiB;

export interface Restored {
  readonly mounted: number;
  readonly failed: readonly string[];
}

/**
 * Mounts the rootfs of every image that had one, after a reboot. One that cannot be mounted is reported. Under the lock
 * of init-store: two at once would both find a rootfs unmounted and mount it twice, and the delete of its image would
 * leave one of them.
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
 * A container that has used up its limit would come back read-only: overlayfs cannot make `work/work` then, and
 * mounts all the same (seen on 6.1). So its limit is a little higher while it is mounted. What is set afterwards is
 * what the image's own file says: a restore that was killed in between is put right by the next.
 */
async function mountAgain(store: Store, id: ImageId, record: ImageRecord): Promise<void> {
  const path = store.layout.image(id);
  const projectId = projectIdOf(path);
  const limit = projectId === 0 ? 0 : store.images.number(id, 'image_quota');
  if (limit === 0) {
    await mountContainer(store, id, record);
    return;
  }
  setProjectLimit({ path }, projectId, limit + SLACK_BYTES);
  try {
    await mountContainer(store, id, record);
  } finally {
    setProjectLimit({ path }, projectId, limit);
  }
}
