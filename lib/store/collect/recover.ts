/**
 * Sweeping up after processes that were killed: whatever belongs to an owner that is dead. Run by init-store,
 * clean, check and the first create of a boot; never by stats or delete. Every step can be repeated, and one
 * that fails is logged and does not keep the others from running.
 */

import type { Logger } from '../../base/log.ts';
import { sweepHolds } from '../../sys/exclusive/holder.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { type ImageId, imageIdOrUndefined } from '../layout/image-id.ts';
import { abandoned, trash } from '../layout/staging.ts';
import { readLeases, unreadableLease } from '../records/leases.ts';
import type { Store } from '../store.ts';
import { forEachLogged } from './each.ts';
import { giveBackLeaked } from './leaked-ids.ts';
import { removeDirectory } from './remove-directory.ts';

export interface Swept {
  images: number;
  staged: number;
  leases: number;
  projectIds: number;
  records: number;
  claims: number;
}

/** How long a mount of a dead create may stay busy before it is detached. */
const BUSY_MILLISECONDS = 1000;

export async function sweep(store: Store, log: Logger): Promise<Swept> {
  const swept: Swept = { images: 0, staged: 0, leases: 0, projectIds: 0, records: 0, claims: 0 };
  const steps: readonly (readonly [keyof Swept, () => number | Promise<number>])[] = [
    ['images', () => sweepImages(store, log)],
    ['staged', () => sweepStaged(store, log)],
    ['records', () => sweepRecords(store)],
    ['projectIds', () => sweepProjectIds(store)],
    ['leases', () => sweepLeases(store, log)],
    ['claims', () => sweepHolds(store.layout.locks, true) + sweepHolds(store.layout.partial, true)],
  ];
  for (const [name, step] of steps) {
    try {
      swept[name] = await step();
    } catch (error) {
      log.error('sweep-failed', error, { step: name });
    }
  }
  if (Object.values(swept).some((count) => count > 0)) log.info('swept', { ...swept });
  return swept;
}

/** Half made or half deleted: no record, and no live lease that names it. */
export function halfImages(store: Store): ImageId[] {
  // Images first: a create publishes its image while its lease is there, and drops the lease after the record.
  const without = store.images.list().filter((id) => !store.images.hasRecord(id));
  const leases = readLeases(store.layout);
  if (unreadableLease(leases) !== undefined) return [];
  const alive = new Set(leases.flatMap((lease) => (lease.alive ? [lease.image] : [])));
  return without.filter((id) => !alive.has(id) && !store.images.hasRecord(id));
}

/** One of them at this moment: by the time its turn comes somebody may have deleted it and made another of its name. */
export function isHalf(store: Store, id: ImageId): boolean {
  if (!store.images.exists(id) || store.images.hasRecord(id)) return false;
  const leases = readLeases(store.layout);
  if (unreadableLease(leases) !== undefined) return false;
  if (leases.some((lease) => lease.alive && lease.image === id)) return false;
  return !store.images.hasRecord(id);
}

async function sweepImages(store: Store, log: Logger): Promise<number> {
  let count = 0;
  await forEachLogged(halfImages(store), log, 'image-not-swept', async (id) => {
    if (!isHalf(store, id)) return;
    if (await removeDirectory(store, store.layout.image(id), BUSY_MILLISECONDS, log)) count += 1;
  });
  return count;
}

/** Moving each away first makes sure that of two sweeps one removes it. */
async function sweepStaged(store: Store, log: Logger): Promise<number> {
  let count = 0;
  await forEachLogged(abandoned(store.layout), log, 'stage-not-swept', async (path) => {
    if (await removeDirectory(store, path, BUSY_MILLISECONDS, log)) count += 1;
  });
  return count;
}

/** Records of images that are gone. */
function sweepRecords(store: Store): number {
  let count = 0;
  for (const name of listNames(store.layout.imageRecords)) {
    const id = imageIdOrUndefined(name);
    if (id === undefined || store.images.exists(id)) continue;
    store.images.removeRecord(id);
    count += 1;
  }
  return count;
}

function sweepProjectIds(store: Store): number {
  const quota = quotaSupport(store.layout.root);
  return quota.supported ? giveBackLeaked(store, quota.device) : 0;
}

/** Last: what a dead lease named has been seen to by the other steps. */
async function sweepLeases(store: Store, log: Logger): Promise<number> {
  const dead = readLeases(store.layout).filter((lease) => !lease.alive);
  const failures = await forEachLogged(
    dead.map(({ name }) => name),
    log,
    'lease-not-swept',
    (name) => trash(store.layout, `${store.layout.leases}/${name}`),
  );
  return dead.length - failures.length;
}
