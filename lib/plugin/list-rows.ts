/** The root filesystems of a store as people list them. Reads every record; `list` for programs reads none. */
import { type ImageId, imageIdOrUndefined } from '../store/layout/image-id.ts';
import { OpenedStore } from '../store/opened.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import { listNames } from '../sys/kernel/look.ts';
import { readMountinfo } from '../sys/mounts/mountinfo.ts';
import { getProjectUsage, quotaSupport } from '../sys/mounts/quota.ts';

/**
 * `mounted`; `unmounted`: since a reboot, for instance; `caller`: made with --without-mount, so that the caller mounts it;
 * `deleting`: a delete could not end; `unfinished`: it has no record that can be read.
 */
type ImageState = 'mounted' | 'unmounted' | 'caller' | 'deleting' | 'unfinished';

/** Sizes are bytes; undefined where nothing counts them or nothing is known. */
export interface ListRow {
  readonly id: string;
  readonly image: string | undefined;
  /** Written by the container, counted where there is a limit. */
  readonly size: number | undefined;
  readonly limit: number | undefined;
  /** Files of its layers, which other root filesystems may share. */
  readonly layers: number;
  /** RFC 3339. */
  readonly created: string | undefined;
  readonly state: ImageState;
  readonly digest: string | undefined;
  readonly path: string;
}

/** @throws the errors of opening a store */
export function listRows(storePath: string): ListRow[] {
  const store = OpenedStore.open(storePath);
  const mounts = new Set(
    readMountinfo()
      .filter(({ fsType }) => fsType === 'overlay')
      .map(({ mountPoint }) => mountPoint),
  );
  const { supported } = quotaSupport(store.layout.root);
  return listNames(store.layout.images).flatMap((name) => {
    const id = imageIdOrUndefined(name);
    return id === undefined ? [] : [rowOf(store, id, mounts, supported)];
  });
}

function rowOf(store: OpenedStore, id: ImageId, mounts: ReadonlySet<string>, supported: boolean): ListRow {
  const path = store.layout.image(id);
  const record = store.images.recordIfReadable(id);
  const projectId = store.projectIds.of(path);
  const usage = projectId !== 0 && supported ? getProjectUsage({ path }, projectId) : undefined;
  return {
    id,
    image: record?.image,
    size: usage?.usedBytes,
    limit: usage?.limitBytes || undefined,
    layers: store.images.number(id, 'image_info'),
    created: record?.created,
    state: stateOf(record, mounts.has(store.layout.rootfs(id))),
    digest: record?.manifestDigest,
    path,
  };
}

function stateOf(record: ImageRecord | undefined, isMounted: boolean): ImageState {
  if (record === undefined) return 'unfinished';
  if (record.deleting === true) return 'deleting';
  if (isMounted) return 'mounted';
  return record.mounted ? 'unmounted' : 'caller';
}
