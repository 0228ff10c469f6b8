import type { Logger } from '../../base/log.ts';
import type { Use } from '../../sys/mounts/in-use.ts';
import { mayRun } from '../collect/collect.ts';
import { mountedUses } from '../collect/mounted-uses.ts';
import { removeImage } from '../collect/remove.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { ImageRecord } from '../records/image-record.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/**
 * A damaged record, which says what a container runs on. The mount says it too, as long as there is one. Without,
 * and from before this boot, it is a container that no longer runs and cannot be mounted again.
 */
export function damagedRecord(store: Store, id: ImageId, reason: string, log: Logger): Finding {
  const finding = { kind: 'image-record', what: `meta/images/${id}` } as const;
  if (rebuild(store, id)) {
    const detail = `${reason}; the container runs, and its mount says on what`;
    return { ...finding, detail, repair: () => writeAnew(store, id) };
  }
  if (mayRun(store, id)) {
    const detail = `${reason}; no layer is collected until the image is deleted, since it may use any`;
    return { ...finding, detail };
  }
  const detail = `${reason}; the container is not mounted, and cannot be mounted again`;
  const isStill = () => isDamaged(store, id) && !mayRun(store, id);
  return { ...finding, detail, repair: async () => void (isStill() && (await removeImage(store, id, log))) };
}

/**
 * The record of a container that is in use is gone. Nothing is deleted: the mount says on what it runs, as long as this
 * mount namespace has it; otherwise somebody has to end it.
 */
export function lostRecord(store: Store, id: ImageId, use: Use): Finding {
  const finding = { kind: 'image-in-use', what: `images/${id}` } as const;
  const by = use.kind === 'mount' ? 'its root filesystem is mounted' : `process ${use.pid} is in it`;
  const isStill = () => store.images.exists(id) && !store.images.hasRecord(id);
  if (rebuild(store, id) === undefined) {
    return { ...finding, detail: `its record is gone and ${by}; end the container, then delete it` };
  }
  const repair = () => {
    const rebuilt = isStill() ? rebuild(store, id) : undefined;
    if (rebuilt) store.images.writeRecord(id, rebuilt);
  };
  return { ...finding, detail: `its record is gone and ${by}; its mount says on what`, repair };
}

/** By the time of its repair the image may be another one of the same name. */
function isDamaged(store: Store, id: ImageId): boolean {
  return store.images.hasRecord(id) && store.images.recordIfReadable(id) === undefined;
}

function writeAnew(store: Store, id: ImageId): void {
  const rebuilt = isDamaged(store, id) ? rebuild(store, id) : undefined;
  if (rebuilt) store.images.writeRecord(id, rebuilt);
}

/** From the options of the mount; undefined where they do not tell all of it. */
function rebuild(store: Store, id: ImageId): ImageRecord | undefined {
  const mounted = mountedUses(store, id);
  if (mounted === undefined) return undefined;
  return {
    image: 'unknown: its record was damaged',
    manifestDigest: undefined,
    created: new Date().toISOString(),
    ...mounted,
    mounted: true,
    layers: [],
  };
}
