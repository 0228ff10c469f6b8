import type { Logger } from '../../base/log.ts';
import type { Use } from '../../sys/mounts/in-use.ts';
import { mountedUses } from '../collect/mounted-uses.ts';
import { mayRun } from '../collect/names-in-use.ts';
import { removeImage } from '../collect/remove.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { ImageRecord } from '../records/image-record.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/**
 * A damaged record: it said which layers the container runs on. An existing mount tells that too. Without a mount,
 * and with a record from before this boot, the container no longer runs and cannot be mounted again.
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
 * A container in use whose record is gone. Nothing is deleted. When the mount is in this mount namespace, it tells
 * which layers the container runs on; otherwise an operator has to end the container.
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

/** False when the image was deleted before its repair and another one now has its id. */
function isDamaged(store: Store, id: ImageId): boolean {
  return store.images.hasRecord(id) && store.images.recordIfReadable(id) === undefined;
}

function writeAnew(store: Store, id: ImageId): void {
  const rebuilt = isDamaged(store, id) ? rebuild(store, id) : undefined;
  if (rebuilt) store.images.writeRecord(id, rebuilt);
}

/** Makes a record from the options of the mount; undefined when they do not tell all layers. */
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
