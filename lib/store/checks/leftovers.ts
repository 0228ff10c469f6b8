import { readdirSync } from 'node:fs';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { giveBackLeaked, leakedProjectIds } from '../collect/leaked-ids.ts';
import { STORE_DIRECTORIES } from '../layout/layout.ts';
import { abandoned, removeName, removeStaged } from '../layout/staging.ts';
import { readLeases } from '../records/leases.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/** What dead processes left: stages, leases, project ids; and names that no version of graft made. */
export function checkLeftovers(store: Store): Finding[] {
  return [...staged(store), ...projectIds(store), ...leases(store), ...rubbish(store)];
}

function staged(store: Store): Finding[] {
  return abandoned(store.layout).map((path) => ({
    kind: 'staged-abandoned',
    what: path.slice(store.layout.root.length + 1),
    detail: 'its owner is dead',
    repair: () => removeStaged(path),
  }));
}

function projectIds(store: Store): Finding[] {
  const quota = quotaSupport(store.layout.root);
  return leakedProjectIds(store).map((id) => ({
    kind: 'project-id-leaked',
    what: `projectids/${id}`,
    detail: 'no image has this project id',
    ...(quota.supported ? { repair: () => void giveBackLeaked(store, quota.device) } : {}),
  }));
}

function leases(store: Store): Finding[] {
  return readLeases(store.layout)
    .filter((lease) => !lease.alive)
    .map(({ name }) => ({
      kind: 'lease-dead',
      what: `meta/leases/${name}`,
      detail: 'its owner is dead',
      repair: () => void removeName(store.layout, `${store.layout.leases}/${name}`),
    }));
}

/** Names at the top that the layout does not have. A person's own file may be among them: nothing is deleted. */
function rubbish(store: Store): Finding[] {
  const known = new Set<string>(STORE_DIRECTORIES.map((name) => name.split('/', 1)[0] ?? ''));
  return readdirSync(store.layout.root)
    .filter((name) => !known.has(name))
    .map((what) => ({ kind: 'rubbish', what, detail: 'graft makes no such name; move it away' }));
}
