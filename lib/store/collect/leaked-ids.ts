/**
 * Leaked project ids: ids with a dead owner that no directory carries. The search first reads the owners and then the
 * directories, and this order makes it safe: a create reserves an id before its directory carries the id, and keeps
 * its lease until the directory is published; a delete becomes the owner of the id while the directory still carries
 * it.
 */

import { release, tryHold } from '../../sys/exclusive/hold.ts';
import { listNames } from '../../sys/kernel/look.ts';
import type { QuotaDevice } from '../../sys/mounts/quota.ts';
import { ownerIsAlive, ownerNameOf } from '../layout/owner-name.ts';
import { projectIdOf } from '../records/project-ids.ts';
import type { Store } from '../store.ts';

interface LeakedId {
  readonly id: number;
  readonly owner: string | undefined;
}

export function leakedProjectIds(store: Store): number[] {
  return find(store).map(({ id }) => id);
}

function find(store: Store): LeakedId[] {
  const free = store.projectIds
    .list()
    .map((id) => ({ id, owner: store.projectIds.ownerOf(id) }))
    .filter(({ owner }) => !isBeingUsed(store, owner));
  if (free.length === 0) return [];
  const carried = new Set(carriedIds(store));
  return free.filter(({ id }) => !carried.has(id));
}

function isBeingUsed(store: Store, target: string | undefined): boolean {
  const owner = target === undefined ? undefined : ownerNameOf(target);
  if (owner === undefined || !ownerIsAlive(owner)) return false;
  // A link that ends in `~delete` is in use without a lease. A create uses its id as long as it has a lease.
  return target !== owner || listNames(store.layout.leases).includes(owner);
}

/** Images are read before tmp/, since a delete moves directories from images/ to tmp/. */
function* carriedIds({ images, layout }: Store): Generator<number> {
  for (const id of images.list()) yield projectIdOf(layout.image(id));
  for (const name of listNames(layout.tmp)) yield projectIdOf(`${layout.tmp}/${name}`);
}

/**
 * Frees leaked ids, unless another process does so now. Returns how many; an id with charged blocks waits for the
 * next call.
 */
export function giveBackLeaked(store: Store, device: QuotaDevice): number {
  const hold = tryHold(`${store.layout.locks}/projectids`);
  if (!('entry' in hold)) return 0;
  try {
    return find(store).filter((leaked) => giveBack(store, leaked, device)).length;
  } finally {
    release(hold);
  }
}

/** Checks the owner again: a delete that ended between the two reads had become the owner before. */
function giveBack(store: Store, { id, owner }: LeakedId, device: QuotaDevice): boolean {
  return store.projectIds.ownerOf(id) === owner && store.projectIds.giveBack(id, device);
}
