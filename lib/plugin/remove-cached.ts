import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { collect, planCollection } from '../store/collect/collect.ts';
import type { LeftOver } from '../store/collect/left-over.ts';
import { measure } from '../store/collect/measure.ts';
import { usedThrough } from '../store/layout/layer-key.ts';
import { type CachedImage, cachedImages, dropCached } from '../store/records/cached-images.ts';
import { readLeases } from '../store/records/leases.ts';
import type { Store } from '../store/store.ts';

export interface Removed {
  /** The images, each with its digest where it has one. */
  readonly images: readonly string[];
  readonly volumes: number;
  readonly freedBytes: number;
  readonly left: readonly LeftOver[];
}

/**
 * Takes images out of the cache, and deletes the layers that nothing else needs: no root filesystem, no running create and
 * no other image of the cache.
 * @param named a reference without credentials, or a digest
 * @throws CACHE_NOT_FOUND, CACHE_IN_USE
 */
export async function removeCached(store: Store, named: string, log: Logger): Promise<Removed> {
  const all = cachedImages(store.layout);
  const chosen = all.filter((image) => isNamed(image, named));
  const by = usersOf(store, named, chosen);
  if (by.length > 0) throw new PluginError('CACHE_IN_USE', { image: named, by });
  if (chosen.length === 0) throw new PluginError('CACHE_NOT_FOUND', { image: named });
  // Removing the name ends `pull --keep`: the layers of the image are then like the layers of any other image.
  for (const image of chosen) dropCached(store.layout, image);
  const others = new Set(all.filter((image) => !chosen.includes(image)).flatMap(({ uses }) => uses));
  const mine = new Set(chosen.flatMap(({ uses }) => uses).filter((use) => !others.has(use)));
  const plan = planCollection(store);
  const unused = plan.unused.filter((volume) => mine.has(usedThrough(volume)));
  const before = measure(store).layerBytes;
  const left: LeftOver[] = [];
  const gone = await collect(store, { ...plan, unused }, log, left);
  const freedBytes = Math.max(0, before - measure(store).layerBytes);
  return { images: chosen.map(shown), volumes: gone.length, freedBytes, left };
}

function isNamed(
  { name, digest }: { readonly name: string; readonly digest: string | undefined },
  named: string,
) {
  return name === named || digest === named || `${name}@${digest}` === named;
}

/** Ids of root filesystems of the image, and of running creates that use it. */
function usersOf(store: Store, named: string, chosen: readonly CachedImage[]): string[] {
  const made = store.images.list().filter((id) => {
    const record = store.images.recordIfReadable(id);
    return record !== undefined && isNamed({ name: record.image, digest: record.manifestDigest }, named);
  });
  // The name of a stack says which layers lie in which order, so that it is this image and not one that shares layers.
  const stacks = new Set(chosen.flatMap(({ uses }) => uses.filter((use) => use.startsWith('stack-'))));
  const making = readLeases(store.layout).flatMap(({ alive, image, uses }) =>
    alive && uses.some((use) => stacks.has(use)) ? [image ?? 'a pull'] : [],
  );
  return [...new Set([...made, ...making])];
}

function shown({ name, digest }: CachedImage): string {
  return digest === undefined || name.endsWith(digest) ? name : `${name}@${digest}`;
}
