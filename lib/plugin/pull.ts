import { cachedPlan } from '../image/pull/cached-plan.ts';
import type { PullContext } from '../image/pull/context.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import { pullImage } from '../image/pull/pull.ts';
import { Lease } from '../store/records/leases.ts';
import { tellingFull } from './full-store.ts';
import { checkImage } from './preflight.ts';
import { sweepAfterBoot } from './sweep-after-boot.ts';

export interface Pulled {
  readonly image: string;
  readonly digest: string | undefined;
  /** The number of the image's layers; a repeated layer counts once. */
  readonly layers: number;
  readonly fetched: number;
  readonly fetchedBytes: number;
}

/** Fetches an image's layers into the store for a later create. Makes no container. */
export function pullOnly(context: PullContext): Promise<Pulled> {
  return tellingFull(context.store, () => pullAll(context));
}

async function pullAll(context: PullContext): Promise<Pulled> {
  const { store, log, source, signal } = context;
  const since = performance.now();
  await sweepAfterBoot(store, log);
  const image = await source.resolve(signal);
  checkImage(image, undefined);
  using lease = new Lease(store.layout, undefined, []);
  const layers = nameLayers(store, image);
  const cached = cachedPlan(store, layers, lease);
  const request = { image, layers, lease, quotaBytes: undefined, mapsIds: true, since };
  const { plan, fetched } = await pullImage(context, request, cached);
  return {
    image: image.name,
    digest: image.manifestDigest,
    layers: plan.uses.length - 1,
    fetched: fetched.length,
    fetchedBytes: fetched.reduce((sum, { record }) => sum + record.compressedBytes, 0),
  };
}
