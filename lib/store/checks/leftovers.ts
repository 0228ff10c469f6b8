import type { Logger } from '../../base/log.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { giveBackLeaked, leakedProjectIds } from '../collect/leaked-ids.ts';
import { removeDirectory } from '../collect/remove-directory.ts';
import { STORE_DIRECTORIES } from '../layout/layout.ts';
import { abandoned, removeName } from '../layout/staging.ts';
import { readLeases } from '../records/leases.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/** Reports the remains of dead processes (stages, leases, project ids), and names that no version of graft makes. */
export function checkLeftovers(store: Store, log: Logger): Finding[] {
  return [...staged(store, log), ...projectIds(store), ...leases(store), ...rubbish(store)];
}

/** How long a mount below a stage may stay busy before it is detached, as in a sweep. */
const BUSY_MILLISECONDS = 1000;

function staged(store: Store, log: Logger): Finding[] {
  return abandoned(store.layout).map((path) => ({
    kind: 'staged-abandoned',
    what: path.slice(store.layout.root.length + 1),
    detail: 'its owner is dead',
    repair: async () => void (await removeDirectory(store, path, BUSY_MILLISECONDS, log)),
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

/** Reports unknown names in the store's directory. They may be an operator's own files, so nothing is deleted. */
function rubbish(store: Store): Finding[] {
  const known = new Set<string>(STORE_DIRECTORIES.map((name) => name.split('/', 1)[0] ?? ''));
  return listNames(store.layout.root)
    .filter((name) => !known.has(name))
    .map((what) => ({ kind: 'rubbish', what, detail: 'graft makes no such name; move it away' }));
}
