import { isPluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { unmount } from '../../sys/mounts/mount.ts';
import { readMountinfo } from '../../sys/mounts/mountinfo.ts';
import { getProjectUsage, quotaSupport } from '../../sys/mounts/quota.ts';
import { halfImages, isHalf, recordlessInUse } from '../collect/recover.ts';
import { removeImage } from '../collect/remove.ts';
import { type ImageId, imageIdOrUndefined } from '../layout/image-id.ts';
import { isOutside } from '../layout/layer-key.ts';
import { projectIdOf } from '../records/project-ids.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';
import { checkParts } from './image-parts.ts';
import { damagedRecord, lostRecord } from './image-records.ts';

/**
 * Checks that every image is complete, that its layers exist and that its limit is right; and that no mount is
 * without an image. A repair checks again, since it may run minutes later, when another container may have the id.
 */
export function checkImages(store: Store, log: Logger): Finding[] {
  const half = new Set(halfImages(store));
  const inUse = recordlessInUse(store);
  return [
    ...[...half].map((id): Finding => halfImage(store, id, log)),
    ...[...inUse].map(([id, use]) => lostRecord(store, id, use)),
    ...store.images.list().flatMap((id) => (half.has(id) || inUse.has(id) ? [] : checkImage(store, id, log))),
    ...orphanRecords(store),
    ...leakedMounts(store),
  ];
}

function halfImage(store: Store, id: ImageId, log: Logger): Finding {
  return {
    kind: 'image-half',
    what: `images/${id}`,
    detail: store.images.isBeingDeleted(id)
      ? 'left by a delete that could not remove all of it; call delete again to see why'
      : 'left by a create or delete that was stopped',
    repair: async () => void (isHalf(store, id) && (await removeImage(store, id, log))),
  };
}

function checkImage(store: Store, id: ImageId, log: Logger): Finding[] {
  const what = `images/${id}`;
  try {
    const record = store.images.record(id);
    const missing = (record?.lowers ?? []).filter((lower) => !isOutside(lower) && !store.layers.has(lower));
    return [
      ...missing.map(
        (lower): Finding => ({ kind: 'image-layer-missing', what, detail: whyMissing(store, lower) }),
      ),
      ...checkQuota(store, id, what),
      ...checkParts(store, id, record),
    ];
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    return [damagedRecord(store, id, error.subject.reason, log)];
  }
}

function whyMissing(store: Store, lower: string): string {
  const aside = listNames(store.layout.volumes).some((name) => name.startsWith(`bad.${lower}.`));
  return aside
    ? `layer ${lower} was damaged and is set aside; make the container anew, this one runs on what is left`
    : `layer ${lower} is gone`;
}

function checkQuota(store: Store, id: ImageId, what: string): Finding[] {
  const wanted = store.images.number(id, 'image_quota');
  if (wanted === 0) return [];
  const path = store.layout.image(id);
  const projectId = projectIdOf(path);
  const limit =
    projectId !== 0 && quotaSupport(path).supported ? getProjectUsage({ path }, projectId)?.limitBytes : 0;
  // XFS rounds limits up to blocks of 4 KiB.
  if (limit !== undefined && limit >= wanted && limit < wanted + 4096) return [];
  return [{ kind: 'image-quota', what, detail: `its limit is ${limit ?? 0} bytes and should be ${wanted}` }];
}

function orphanRecords(store: Store): Finding[] {
  return listNames(store.layout.imageRecords).flatMap((name): Finding[] => {
    const id = imageIdOrUndefined(name);
    if (id === undefined || store.images.exists(id)) return [];
    const repair = () => void (store.images.exists(id) || store.images.removeRecord(id));
    return [{ kind: 'record-orphan', what: `meta/images/${name}`, detail: 'there is no such image', repair }];
  });
}

function leakedMounts(store: Store): Finding[] {
  const prefix = `${store.layout.images}/`;
  return readMountinfo().flatMap(({ mountPoint }): Finding[] => {
    if (!mountPoint.startsWith(prefix)) return [];
    const id = imageIdOrUndefined(mountPoint.slice(prefix.length).split('/', 1)[0] ?? '');
    const isUsed = () => id !== undefined && store.images.exists(id);
    if (isUsed()) return [];
    const repair = () => void (isUsed() || unmount(mountPoint, { detach: true }));
    return [
      { kind: 'mount-leaked', what: mountPoint, detail: 'mounted below an image that is gone', repair },
    ];
  });
}
