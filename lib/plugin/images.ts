/** The images of the store's cache, for people who steer it: `images`. Reads every record of the store. */
import { planCollection, type Spared } from '../store/collect/collect.ts';
import { whyKept } from '../store/collect/kept-images.ts';
import { layerKeyOrUndefined, usedThrough } from '../store/layout/layer-key.ts';
import { cachedImages } from '../store/records/cached-images.ts';
import { listVolumes, sizeOf, volumeSize } from '../store/records/volume-size.ts';
import type { Store } from '../store/store.ts';

/** Why no clean takes the layers of an image. */
export type StaysFor =
  | { readonly reason: 'used'; readonly by: readonly string[] }
  | { readonly reason: 'pattern'; readonly pattern: string }
  | { readonly reason: 'kept' };

/** Sizes are bytes on the disk. */
export interface CacheRow {
  readonly image: string;
  readonly digest: string | undefined;
  readonly bytes: number;
  /** Of layers that no other image of the list needs; the rest is shared. */
  readonly ownBytes: number;
  readonly sharedBytes: number;
  /** The last create or pull, in RFC 3339. */
  readonly lastUsed: string;
  /** Empty where the next clean may take it. */
  readonly stays: readonly StaysFor[];
}

export interface Cache {
  /** Used most recently first. */
  readonly images: readonly CacheRow[];
  /** Layers and shims that no image of the list needs. */
  readonly nameless: { readonly volumes: number; readonly bytes: number };
  readonly reclaimableBytes: number;
  /** Unused images that a clean would spare. */
  readonly spared: Spared;
}

/** An image of the cache, or of a root filesystem that the cache does not name. */
interface Known {
  readonly name: string;
  readonly digest: string | undefined;
  readonly uses: readonly string[];
  readonly kept: boolean;
  readonly usedMs: number;
  readonly by: readonly string[];
}

/** @param keep patterns of the names of images that are kept */
export function cacheOf(store: Store, keep: readonly string[]): Cache {
  const known = knownImages(store);
  const sizes = new Map<string, number>();
  const volumes = listVolumes(store.layout);
  for (const volume of volumes) {
    const name = usedThrough(volume);
    sizes.set(name, (sizes.get(name) ?? 0) + sizeOf(volumeSize(store, volume)));
  }
  const users = new Map<string, number>();
  for (const { uses } of known) for (const use of new Set(uses)) users.set(use, (users.get(use) ?? 0) + 1);
  const bytes = (uses: Iterable<string>) => [...uses].reduce((sum, use) => sum + (sizes.get(use) ?? 0), 0);
  const images = known.map((image): CacheRow => {
    const uses = new Set(image.uses);
    const ownBytes = bytes([...uses].filter((use) => users.get(use) === 1));
    const all = bytes(uses);
    return {
      image: image.name,
      digest: image.digest,
      bytes: all,
      ownBytes,
      sharedBytes: all - ownBytes,
      lastUsed: new Date(image.usedMs).toISOString(),
      stays: staysFor(image, keep),
    };
  });
  const nameless = volumes.filter((volume) => !users.has(usedThrough(volume)));
  const plan = planCollection(store, keep);
  return {
    images,
    nameless: { volumes: nameless.length, bytes: bytes(new Set(nameless.map(usedThrough))) },
    reclaimableBytes: plan.diskBytes,
    spared: plan.spared,
  };
}

function staysFor(image: Known, keep: readonly string[]): StaysFor[] {
  const pattern = whyKept({ name: image.name, kept: false }, keep)?.pattern;
  return [
    ...(image.by.length === 0 ? [] : [{ reason: 'used', by: image.by } as const]),
    ...(pattern === undefined ? [] : [{ reason: 'pattern', pattern } as const]),
    ...(image.kept ? [{ reason: 'kept' } as const] : []),
  ];
}

/** The names in the cache with a layer in the store, and those of root filesystems; used most recently first. */
function knownImages(store: Store): Known[] {
  const known = new Map<string, Known>();
  for (const { name, digest, uses, kept, usedMs } of cachedImages(store.layout)) {
    const isThere = uses.some((use) => {
      const key = layerKeyOrUndefined(use);
      return key !== undefined && store.layers.has(key);
    });
    if (isThere || kept) add(known, { name, digest, uses, kept, usedMs, by: [] });
  }
  for (const id of store.images.list()) {
    const record = store.images.recordIfReadable(id);
    if (record === undefined) continue;
    const { image: name, manifestDigest: digest, uses, created } = record;
    const usedMs = Date.parse(created);
    add(known, { name, digest, uses, kept: false, usedMs: Number.isNaN(usedMs) ? 0 : usedMs, by: [id] });
  }
  return [...known.values()].sort((a, b) => b.usedMs - a.usedMs);
}

function add(known: Map<string, Known>, image: Known): void {
  const key = `${image.name} ${image.digest ?? ''}`;
  const other = known.get(key);
  known.set(
    key,
    other === undefined
      ? image
      : {
          ...other,
          kept: other.kept || image.kept,
          usedMs: Math.max(other.usedMs, image.usedMs),
          by: [...other.by, ...image.by],
        },
  );
}
