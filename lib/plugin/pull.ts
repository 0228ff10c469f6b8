import type { PullDeps } from '../image/pull/context.ts';
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
export function pullOnly(deps: Omit<PullDeps, 'quotaBytes'>): Promise<Pulled> {
  return tellingFull(deps.store, () => pullAll(deps));
}

async function pullAll(deps: Omit<PullDeps, 'quotaBytes'>): Promise<Pulled> {
  const since = performance.now();
  await sweepAfterBoot(deps.store, deps.log);
  const image = await deps.source.resolve(deps.signal);
  checkImage(image, undefined);
  using lease = new Lease(deps.store.layout, undefined, []);
  const { plan, fetched } = await pullImage({ since, ...deps, quotaBytes: undefined }, image, lease);
  return {
    image: image.name,
    digest: image.manifestDigest,
    layers: plan.uses.length - 1,
    fetched: fetched.length,
    fetchedBytes: fetched.reduce((sum, { record }) => sum + record.compressedBytes, 0),
  };
}
