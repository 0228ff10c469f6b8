import type { Logger } from '../../base/log.ts';
import { overlayLowers } from '../../sys/mounted-overlay.ts';
import { mayRun } from '../collect.ts';
import type { ImageId } from '../image-id.ts';
import type { ImageRecord } from '../image-record.ts';
import { usedThrough, type VolumeName } from '../layer-key.ts';
import { linkedVolume } from '../layers.ts';
import { removeImage } from '../remove.ts';
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
  const lowers = overlayLowers(store.layout.rootfs(id))?.map((lower) => inStore(store, lower));
  if (lowers === undefined || !lowers.every((lower) => lower !== undefined)) return undefined;
  const volumes = lowers.filter((lower) => !lower.startsWith('/'));
  return {
    image: 'unknown: its record was damaged',
    manifestDigest: undefined,
    created: new Date().toISOString(),
    uses: [...new Set(volumes.map(usedThrough))],
    lowers,
    mounted: true,
    layers: [],
  };
}

/** A lower directory as records name it; undefined for one that only this mount knows. */
function inStore({ layout, layers }: Store, lower: string): string | undefined {
  const volume = lower.startsWith(`${layout.volumes}/`)
    ? (lower.slice(layout.volumes.length + 1).split('/', 1)[0] as VolumeName)
    : lower.startsWith('/')
      ? undefined
      : linkedVolume(`${layout.links}/${lower}`);
  if (volume !== undefined) return layers.has(volume) ? volume : undefined;
  return lower.startsWith('/') && !lower.startsWith(`${layout.root}/`) ? lower : undefined;
}
