import { cachedPlan } from '../image/pull/cached-plan.ts';
import type { PullContext } from '../image/pull/context.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import { pullImage } from '../image/pull/pull.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import { keepImage, noteUse } from '../store/records/cached-images.ts';
import { Lease } from '../store/records/leases.ts';
import { tellingFull } from './full-store.ts';
import { asked, checkImage } from './preflight.ts';
import { releaseLayers } from './release-layers.ts';
import { sweepAfterBoot } from './sweep-after-boot.ts';

export interface Pulled {
  readonly image: string;
  readonly digest: string | undefined;
  /** The number of the image's layers; a repeated layer counts once. */
  readonly layers: number;
  readonly fetched: number;
  readonly fetchedBytes: number;
}

/**
 * Fetches an image's layers into the store for a later create. Makes no container.
 * @param keep no clean deletes the layers until `rmi`
 */
export function pullOnly(context: PullContext, keep = false): Promise<Pulled> {
  return tellingFull(context.store, () => pullAll(context, keep));
}

async function pullAll(context: PullContext, keep: boolean): Promise<Pulled> {
  const { store, log, source, signal } = context;
  const since = performance.now();
  await sweepAfterBoot(store, log);
  const image = await source.resolve(signal);
  checkImage(image, undefined);
  const lease = new Lease(store.layout, undefined, []);
  try {
    return await pullNamed(context, { image, lease, since, keep });
  } finally {
    lease[Symbol.dispose]();
    // Planning a stack reads its layers, and so mounts those that are images.
    await releaseLayers(store, lease.uses, log);
  }
}

interface Named {
  readonly image: ResolvedImage;
  readonly lease: Lease;
  readonly since: number;
  readonly keep: boolean;
}

async function pullNamed(context: PullContext, { image, lease, since, keep }: Named): Promise<Pulled> {
  const { store, log } = context;
  const layers = nameLayers(store, image);
  const cached = cachedPlan(store, layers, lease);
  const request = { image, layers, lease, quotaBytes: undefined, mapsIds: true, since };
  const { plan, fetched } = await pullImage(context, request, cached);
  // While the lease names the layers, no clean can come between.
  if (keep) keepImage(store.layout, asked(image, plan));
  else noteUse(store.layout, asked(image, plan), log);
  return {
    image: image.name,
    digest: image.manifestDigest,
    layers: plan.uses.length - 1,
    fetched: fetched.length,
    fetchedBytes: fetched.reduce((sum, { record }) => sum + record.compressedBytes, 0),
  };
}
