import type { Logger } from '../../base/log.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { unmount, unmountRetrying } from '../../sys/mounts/mount.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { isFull, moveAway, removeStaged } from '../layout/staging.ts';
import type { Store } from '../store.ts';

/** A create that was at its mount while its image was deleted may mount once more. */
const ATTEMPTS = 3;

/**
 * Removes a container's directory, whole or half, with what is mounted in it. It is moved away first: of several
 * who delete it one does, its name is free at once, and whoever is still making it finds it gone. A mount moves along.
 * @param busyMs how long a mount may stay busy before it is detached
 * Returns false when the directory was gone.
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
  if (quota?.supported) takeOver(store, projectId);
  for (let attempt = 1; ; attempt += 1) {
    await unmountOrDetach(`${away}/rootfs`, busyMs, log);
    try {
      removeStaged(away);
      break;
    } catch (error) {
      if (!hasCode(error, 'EBUSY') || attempt === ATTEMPTS) throw error;
    }
  }
  if (quota?.supported) store.projectIds.giveBack(projectId, quota.device);
  return true;
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
