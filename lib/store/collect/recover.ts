/**
 * Sweeps the remains of killed processes: everything that belongs to a dead owner. Run by init-store, clean, check
 * and the first create after a boot; never by stats or delete. Every step can be repeated. A step that fails is
 * logged, and the other steps still run.
 */

import type { Logger } from '../../base/log.ts';
import { sweepHolds } from '../../sys/exclusive/holder.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { type Use, usesBelow } from '../../sys/mounts/in-use.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { type ImageId, imageIdOrUndefined } from '../layout/image-id.ts';
import { abandoned, trash } from '../layout/staging.ts';
import { readLeases, unreadableLease } from '../records/leases.ts';
import type { Store } from '../store.ts';
import { forEachLogged } from './each.ts';
import { giveBackLeaked } from './leaked-ids.ts';
import { type LeftOver, noting } from './left-over.ts';
import { removeImage } from './remove.ts';
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

/** @param left gets what would not go; the next sweep finds it where it is named */
export async function sweep(store: Store, log: Logger, left: LeftOver[] = []): Promise<Swept> {
  const swept: Swept = { images: 0, staged: 0, leases: 0, projectIds: 0, records: 0, claims: 0 };
  const steps: readonly (readonly [keyof Swept, () => number | Promise<number>])[] = [
    ['images', () => sweepImages(store, log, left)],
    ['staged', () => sweepStaged(store, log, left)],
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

/**
 * Half made or half deleted: no record, or one that says that a delete could not end, and no live lease that names it. What
 * has no record and is in use is none: a container lives on without its record (in-use.ts).
 */
export function halfImages(store: Store): ImageId[] {
  return withoutOwner(store).filter((id) => !isLive(store, id));
}

/** Containers whose record is gone and that are in use, with what uses them. */
export function recordlessInUse(store: Store): Map<ImageId, Use> {
  const without = withoutOwner(store);
  if (without.length === 0) return new Map();
  const uses = usesBelow(store.layout.images);
  return new Map(
    without.flatMap((id) => {
      const use = uses.get(id);
      return use !== undefined && isLive(store, id, uses) ? [[id, use] as const] : [];
    }),
  );
}

/** Without a record of a whole container, and without anybody who is making one. */
function withoutOwner(store: Store): ImageId[] {
  // Images first: a create publishes its image while its lease is there, and drops the lease after the record.
  const without = store.images.list().filter((id) => lacksRecord(store, id));
  if (without.length === 0) return [];
  const leases = readLeases(store.layout);
  if (unreadableLease(leases) !== undefined) return [];
  const alive = new Set(leases.flatMap((lease) => (lease.alive ? [lease.image] : [])));
  return without.filter((id) => !alive.has(id) && lacksRecord(store, id));
}

function lacksRecord(store: Store, id: ImageId): boolean {
  return !store.images.hasRecord(id) || store.images.isBeingDeleted(id);
}

/**
 * A process in it, or a mount, means that it lives; but for a mount that a killed create made, which nobody was told of:
 * its lease is there until it is swept, after the images. Who is being deleted was given up by its owner.
 */
function isLive(store: Store, id: ImageId, uses = usesBelow(store.layout.images)): boolean {
  const use = uses.get(id);
  if (use === undefined || store.images.isBeingDeleted(id)) return false;
  return use.kind === 'process' || !readLeases(store.layout).some((lease) => lease.image === id);
}

/**
 * Whether an image is half made or half deleted now: since `halfImages`, the id may have been deleted and used again.
 */
export function isHalf(store: Store, id: ImageId): boolean {
  if (!store.images.exists(id) || !lacksRecord(store, id)) return false;
  const leases = readLeases(store.layout);
  if (unreadableLease(leases) !== undefined) return false;
  if (leases.some((lease) => lease.alive && lease.image === id)) return false;
  return !isLive(store, id) && lacksRecord(store, id);
}

async function sweepImages(store: Store, log: Logger, left: LeftOver[]): Promise<number> {
  let count = 0;
  await forEachLogged(halfImages(store), log, 'image-not-swept', async (id) => {
    if (!isHalf(store, id)) return;
    await noting(left, store.layout.image(id), async () => {
      if (await removeImage(store, id, log, BUSY_MILLISECONDS)) count += 1;
    });
  });
  return count;
}

/** Moving each away first makes sure that of two sweeps one removes it. */
async function sweepStaged(store: Store, log: Logger, left: LeftOver[]): Promise<number> {
  let count = 0;
  await forEachLogged(abandoned(store.layout), log, 'stage-not-swept', async (path) => {
    await noting(left, path, async () => {
      if (await removeDirectory(store, path, BUSY_MILLISECONDS, log)) count += 1;
    });
  });
  return count;
}

/** Deletes the records of images that are gone. */
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

/** The last step: the other steps have then removed everything that a dead lease names. */
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
