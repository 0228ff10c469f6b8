/**
 * Project ids that leaked: taken by the dead, and no directory carries them. The order of looks is what makes it
 * safe: first the owners, then the directories. A create takes an id before its directory carries it and keeps its
 * lease until the directory is where it belongs; a delete takes the id over while the directory still carries it.
 */

import { release, tryHold } from '../../sys/exclusive/holder.ts';
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
  // Whoever deletes has no lease. Who made the image has dropped it when the image was there.
  return target !== owner || listNames(store.layout.leases).includes(owner);
}

/** Images before tmp/: a delete moves them from there to here. */
function* carriedIds({ images, layout }: Store): Generator<number> {
  for (const id of images.list()) yield projectIdOf(layout.image(id));
  for (const name of listNames(layout.tmp)) yield projectIdOf(`${layout.tmp}/${name}`);
}

/** Gives leaked ids back, where nobody else is at it. Returns how many; charged ones wait for the next time. */
export function giveBackLeaked(store: Store, device: QuotaDevice): number {
  const hold = tryHold(`${store.layout.locks}/projectids`);
  if (!('entry' in hold)) return 0;
  try {
    return find(store).filter((leaked) => giveBack(store, leaked, device)).length;
  } finally {
    release(hold);
  }
}

/** Asks for the owner again: a delete that ended between the two looks had taken the id over before. */
function giveBack(store: Store, { id, owner }: LeakedId, device: QuotaDevice): boolean {
  return store.projectIds.ownerOf(id) === owner && store.projectIds.giveBack(id, device);
}
