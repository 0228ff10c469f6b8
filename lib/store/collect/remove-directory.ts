import type { Logger } from '../../base/log.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { unmount, unmountRetrying } from '../../sys/mounts/mount.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { isFull, moveAway, movedError, putBack, removeStaged } from '../layout/staging.ts';
import type { Store } from '../store.ts';

/** A create that was at its mount while its image was deleted may mount once more. */
const ATTEMPTS = 3;

/**
 * Removes a container's directory, whole or half, with what is mounted in it. It is moved away first: of several
 * who delete it one does, its name is free at once, and whoever is still making it finds it gone. A mount moves along.
 * What cannot be removed gets its name back, so that the next one who deletes or sweeps finds it there.
 * @param busyMs how long a mount may stay busy before it is detached
 * Returns false when the directory was gone.
 * @throws SysError that names, in full, what would not go
 */
export async function removeDirectory(
  store: Store,
  path: string,
  busyMs: number,
  log: Logger,
): Promise<boolean> {
  const away = moveAway(store.layout, path);
  if (away === undefined) return false;
  const projectId = store.projectIds.of(away);
  const quota = projectId === 0 ? undefined : quotaSupport(store.layout.root);
  try {
    if (quota?.supported) takeOver(store, projectId);
    await removeWithMounts(store, away, path, busyMs, log);
  } catch (error) {
    throw putBack(away, path) ? movedError(error, away, path) : error;
  }
  if (quota?.supported) store.projectIds.giveBack(projectId, quota.device);
  return true;
}

async function removeWithMounts(
  { layout }: Store,
  away: string,
  path: string,
  busyMs: number,
  log: Logger,
): Promise<void> {
  const isContainer = path.startsWith(`${layout.images}/`);
  for (let attempt = 1; ; attempt += 1) {
    await unmountOrDetach(`${away}/rootfs`, busyMs, log);
    try {
      removeStaged(away);
      return;
    } catch (error) {
      if (!hasCode(error, 'EBUSY', 'EXDEV') || attempt === ATTEMPTS) throw error;
      await detachBelow(away, isContainer, log);
    }
  }
}

/** What graft makes in a container's directory. */
const MADE = new Set(['diff', 'workdir', 'rootfs']);

/**
 * Detaches what is mounted in the directory, and touches nothing of what that shows. Beside what graft makes in a
 * container's directory only an operator mounts something, who has to say what is to become of it.
 */
async function detachBelow(away: string, isContainer: boolean, log: Logger): Promise<void> {
  const { detachMount, mountsBelow } = await import('../../sys/mounts/mounts-below.ts');
  for (const { mount, below } of mountsBelow(away)) {
    if (isContainer && !MADE.has(below.split('/', 1)[0] ?? '')) continue;
    log.info('detaching-mount', { mountPoint: mount.mountPoint, source: mount.source, fsType: mount.fsType });
    detachMount(mount);
  }
}

/** A full disk may have no room for it; what it guards against takes a sweep and a create at that very moment. */
function takeOver(store: Store, projectId: number): void {
  try {
    store.projectIds.takeOver(projectId);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

/**
 * A mount that stays busy is detached: it ends with its last user. So is one that cannot be unmounted for whatever
 * other reason; where that fails too, removing the directory says why it stays.
 */
async function unmountOrDetach(rootfs: string, busyMs: number, log: Logger): Promise<void> {
  try {
    await unmountRetrying(rootfs, { timeoutMs: busyMs });
  } catch (error) {
    log.error('detaching-busy-rootfs', error, { rootfs });
    detach(rootfs);
  }
}

function detach(rootfs: string): void {
  try {
    unmount(rootfs, { detach: true });
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
