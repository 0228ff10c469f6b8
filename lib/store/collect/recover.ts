/**
 * Sweeps the remains of killed processes: everything that belongs to a dead owner. Run by init-store, clean, check
 * and the first create after a boot; never by stats or delete. Every step can be repeated. A step that fails is
 * logged, and the other steps still run.
 */

import type { Logger } from '../../base/log.ts';
import { sweepHolds } from '../../sys/exclusive/hold.ts';
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

/** @param left gets the paths that could not be removed; the next sweep finds them there */
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
 * Images that are half made or half deleted: without a record, or with one that says that a delete could not end; and
 * without a live lease that names them. A container in use that has lost its record is not among them (in-use.ts).
 */
export function halfImages(store: Store): ImageId[] {
  return withoutOwner(store).filter((id) => !isLive(store, id));
}

/** Containers in use without a record, each with its use. */
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

/** Images without the record of a complete container, and without a living create that is making them. */
function withoutOwner(store: Store): ImageId[] {
  // Images are read before leases: a create publishes its image while it has a lease, and drops the lease after the
  // record.
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
 * Whether a container without a record is in use: by a process or a mount. A mount by a killed create does not count,
 * since no caller knows of it; the create's lease tells, because leases are swept after images. A container that is
 * being deleted does not count either: its owner has given it up.
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

/** Of two sweeps at the same time one deletes a stage, since each first renames it. */
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
