import { existsSync, lstatSync, statSync } from 'node:fs';
import { planCollection, renamedForRemoval, type Unreadable } from '../store/collect/collect.ts';
import { leakedProjectIds } from '../store/collect/leaked-ids.ts';
import { isReachable } from '../store/collect/measure.ts';
import { halfImages } from '../store/collect/recover.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import type { LayerKey } from '../store/layout/layer-key.ts';
import { isOutside, isVolume, layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import { abandoned } from '../store/layout/staging.ts';
import { listVolumes, sizeOf, volumeSize } from '../store/records/volume-size.ts';
import type { Store } from '../store/store.ts';
import { diskUsage } from '../sys/files/disk-usage.ts';
import { close, openDir } from '../sys/kernel/files.ts';
import { listNames } from '../sys/kernel/look.ts';
import { filesystemOf } from '../sys/kernel/statfs.ts';
import { getProjectUsage, quotaSupport } from '../sys/mounts/quota.ts';
import type { MissingOutside } from './outside-layers.ts';

/** All sizes are bytes; `undefined` where nothing counts them. */
interface ImageUsage {
  readonly id: string;
  readonly image: string | undefined;
  /** Bytes that the container wrote; known only for a container with a limit. */
  readonly exclusiveBytes: number | undefined;
  readonly quotaBytes: number | undefined;
  /** Inodes of the container's own, counted and limited like its bytes. */
  readonly inodes: number | undefined;
  readonly inodeLimit: number | undefined;
  /** Bytes of the files of its layers, as in `stats`. Other images may share these layers. */
  readonly layerBytes: number;
  /** Its layers on CernVM-FS that cannot be reached, each with the reason in words. */
  readonly missingLayers: readonly { readonly path: string; readonly reason: string }[];
}

interface LayerUsage {
  readonly layer: string;
  /** Bytes of the layer on the disk, with its inodes. */
  readonly bytes: number;
  /** Ids of the images that use the layer; a clean would delete a layer without any. */
  readonly usedBy: readonly string[];
}

export interface Usage {
  readonly store: string;
  readonly filesystem: {
    readonly type: string;
    readonly totalBytes: number;
    readonly usedBytes: number;
    readonly freeBytes: number;
    /** Inodes that it can have by now (XFS makes them as it needs them, imaxpct(5)), and those that are taken. */
    readonly inodes: number;
    readonly usedInodes: number;
  };
  /** The loop file: its largest size, and its size on the disk below. */
  readonly backing:
    | { readonly path: string; readonly sizeBytes: number; readonly onDiskBytes: number }
    | undefined;
  readonly images: readonly ImageUsage[];
  readonly layers: readonly LayerUsage[];
  readonly committedBytes: number;
  /**
   * Bytes of all layers and shims on the disk, with inodes. A clean compares them and the committed bytes with the
   * threshold.
   */
  readonly layerBytes: number;
  /** Bytes on the disk as du(1) -x counts them: blocks, without inodes. */
  readonly counted: {
    readonly layers: number;
    readonly containers: number;
    /** Remembered facts: records, manifests, plans, and partial downloads. */
    readonly records: number;
    /** Images and layers that are being made or deleted, and the remains of crashes. */
    readonly staged: number;
    readonly sum: number;
  };
  /** Bytes of the layers that more than one image uses. */
  readonly sharedBytes: number;
  readonly reclaimableBytes: number;
  /** A record or lease that cannot be read, so that no layer may be reclaimed. */
  readonly kept: Unreadable | undefined;
  /** Bytes of the files alone, as GrootFS's metrics count layers: of the unused layers, and of all. */
  readonly unusedFileBytes: number;
  readonly fileBytes: number;
  /** Layers that are used where they lie on CernVM-FS, and take no space of the store. */
  readonly inPlace: readonly { readonly path: string; readonly usedBy: readonly string[] }[];
  /** The remains of crashed processes, which the next clean sweeps. */
  readonly leaked: {
    readonly staged: number;
    readonly projectIds: number;
    /** Paths that should be gone: in tmp/, volumes that a clean renamed, and half-deleted containers. */
    readonly places: readonly string[];
  };
  readonly clean: {
    readonly thresholdBytes: number;
    readonly due: boolean;
    readonly missingBytes: number;
    /** False: the disk may be full before the threshold is reached. */
    readonly reachable: boolean;
  };
}

/**
 * Finds out which files take up the disk. Reads every record of the store.
 * @param outside the layers outside the store that are missing
 */
export function storeUsage(
  store: Store,
  thresholdBytes: number,
  outside: readonly MissingOutside[] = [],
): Usage {
  const missing = Map.groupBy(outside, ({ id }) => id);
  const users = usersIn(store);
  const images = store.images
    .list()
    .map((id) => imageUsage(store, id, users.images.get(id), missing.get(id) ?? []));
  const layers = layerUsage(store, users);
  const sizes = listVolumes(store.layout).map((volume) => volumeSize(store, volume));
  const layerBytes = sum(sizes.map(sizeOf));
  const plan = planCollection(store);
  const committedBytes = sum(images.map((image) => image.quotaBytes ?? 0));
  const filesystem = filesystemOf(store.layout.root);
  return {
    store: store.layout.root,
    filesystem: {
      type: filesystem.type,
      totalBytes: filesystem.totalBytes,
      usedBytes: filesystem.totalBytes - filesystem.freeBytes,
      freeBytes: filesystem.availableBytes,
      inodes: filesystem.totalFiles,
      usedInodes: filesystem.totalFiles - filesystem.freeFiles,
    },
    backing: backing(store),
    images,
    layers,
    inPlace: inPlace(users),
    committedBytes,
    layerBytes,
    sharedBytes: sum(layers.filter((layer) => layer.usedBy.length > 1).map((layer) => layer.bytes)),
    counted: counted(store, images, sum(sizes.map(({ diskBytes }) => diskBytes))),
    reclaimableBytes: plan.diskBytes,
    kept: plan.kept,
    unusedFileBytes: plan.bytes,
    fileBytes: sum(sizes.map(({ fileBytes }) => fileBytes)),
    leaked: leaked(store),
    clean: {
      thresholdBytes,
      due: committedBytes + layerBytes >= thresholdBytes,
      missingBytes: Math.max(0, thresholdBytes - committedBytes - layerBytes),
      reachable: isReachable(thresholdBytes, filesystem.totalBytes),
    },
  };
}

function leaked(store: Store): Usage['leaked'] {
  const { layout } = store;
  const staged = abandoned(layout);
  const places = [
    ...staged,
    ...halfImages(store).map((id) => layout.image(id)),
    ...renamedForRemoval(store).map((name) => `${layout.volumes}/gc.${name}`),
  ];
  return { staged: staged.length, projectIds: leakedProjectIds(store).length, places };
}

const RECORDS = ['meta', 'l', 'locks', 'projectids'] as const;

/**
 * The bytes by kind. The kernel counts a container with a limit; for one without, the files are walked, which takes
 * longer the more files it has.
 */
function counted(store: Store, images: readonly ImageUsage[], layers: number): Usage['counted'] {
  const root = openDir(store.layout.root);
  try {
    const containers = sum(
      images.map(({ id, exclusiveBytes }) => exclusiveBytes ?? diskUsage(root, `images/${id}`)),
    );
    const records = sum(RECORDS.map((name) => diskUsage(root, name)));
    const aside = listNames(store.layout.volumes).filter((name) => !isVolume(name));
    const staged = sum(
      ['tmp', ...aside.map((name) => `volumes/${name}`)].map((name) => diskUsage(root, name)),
    );
    return { layers, containers, records, staged, sum: layers + containers + records + staged };
  } finally {
    close(root);
  }
}

function imageUsage(
  store: Store,
  id: ImageId,
  image: string | undefined,
  missing: readonly MissingOutside[],
): ImageUsage {
  const path = store.layout.image(id);
  const projectId = store.projectIds.of(path);
  const usage =
    projectId !== 0 && quotaSupport(path).supported ? getProjectUsage({ path }, projectId) : undefined;
  return {
    id,
    image,
    exclusiveBytes: usage?.usedBytes,
    quotaBytes: usage?.limitBytes || undefined,
    inodes: usage?.inodes,
    inodeLimit: usage?.inodeLimit || undefined,
    layerBytes: store.images.number(id, 'image_info'),
    missingLayers: missing.map(({ lower, reason }) => ({ path: lower, reason })),
  };
}

/** Facts of the records of all containers, each of which is read once: 500 records may have 200 MB. */
interface Users {
  readonly images: ReadonlyMap<ImageId, string>;
  /** The containers of each layer of the store, and of each layer on CernVM-FS by its path. */
  readonly layers: ReadonlyMap<LayerKey, readonly string[]>;
  readonly outside: ReadonlyMap<string, readonly string[]>;
}

function usersIn(store: Store): Users {
  const images = new Map<ImageId, string>();
  const layers = new Map<LayerKey, string[]>();
  const outside = new Map<string, string[]>();
  for (const id of store.images.list()) {
    const record = store.images.recordIfReadable(id);
    if (record === undefined) continue;
    images.set(id, record.image);
    for (const lower of record.lowers) if (isOutside(lower)) addUser(outside, lower, id);
    for (const use of record.uses) {
      const key = layerKeyOrUndefined(use);
      if (key !== undefined) addUser(layers, key, id);
    }
  }
  return { images, layers, outside };
}

/** By path. A shim or a mask of such a layer is in the store, and among its layers. */
function inPlace({ outside }: Users): Usage['inPlace'] {
  return [...outside].map(([path, usedBy]) => ({ path, usedBy })).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Largest first. */
function layerUsage(store: Store, users: Users): LayerUsage[] {
  return store.layers
    .list()
    .map((key) => ({
      layer: key,
      bytes: sizeOf(volumeSize(store, key)),
      usedBy: users.layers.get(key) ?? [],
    }))
    .sort((a, b) => b.bytes - a.bytes);
}

function addUser<K>(users: Map<K, string[]>, used: K, id: string): void {
  const ids = users.get(used);
  if (ids === undefined) users.set(used, [id]);
  else ids.push(id);
}

function backing(store: Store): Usage['backing'] {
  const path = store.layout.backing;
  if (!existsSync(path)) return undefined;
  const stat = lstatSync(path);
  // st_blocks counts 512 bytes whatever the filesystem's block is (stat(2)).
  return { path, sizeBytes: statSync(path).size, onDiskBytes: stat.blocks * 512 };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
