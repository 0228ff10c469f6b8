import type { Logger } from '../../base/log.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { unmount, unmountRetrying } from '../../sys/mounts/mount.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { isFull, moveAway, movedError, putBack, removeStaged } from '../layout/staging.ts';
import type { OpenedStore } from '../opened.ts';

/** A create may still be mounting while its image is deleted, and so may mount once more. */
const ATTEMPTS = 3;

/**
 * Removes a container's directory, whole or half made, with the mounts in it. The directory is first moved into tmp/,
 * together with its mounts. So only one of several deletes removes it, its id is free at once, and a create that is
 * still making it finds it gone. When the removal fails, the directory is moved back, so that the next delete or
 * sweep finds it. Returns false when the directory was gone.
 * @param busyMs how long a mount may stay busy before it is detached
 * @throws SysError with the full path of the file that could not be removed
 */
export async function removeDirectory(
  store: OpenedStore,
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
  { layout }: OpenedStore,
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

/** The directories that graft makes in a container's directory. */
const MADE = new Set(['diff', 'workdir', 'rootfs']);

/**
 * Detaches the mounts in the directory, and does not touch the files in them. In a container's directory, mounts
 * outside graft's own directories are an operator's: they stay, and the operator has to decide.
 */
async function detachBelow(away: string, isContainer: boolean, log: Logger): Promise<void> {
  const { detachMount, mountsBelow } = await import('../../sys/mounts/mounts-below.ts');
  for (const { mount, below } of mountsBelow(away)) {
    if (isContainer && !MADE.has(below.split('/', 1)[0] ?? '')) continue;
    log.info('detaching-mount', { mountPoint: mount.mountPoint, source: mount.source, fsType: mount.fsType });
    detachMount(mount);
  }
}

/**
 * Makes this process the owner of the id. A full disk may have no room for that: without it only a sweep and a create
 * at that very moment could take the id too early.
 */
function takeOver(store: OpenedStore, projectId: number): void {
  try {
    store.projectIds.takeOver(projectId);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

/**
 * Unmounts a rootfs. A mount that stays busy, or that cannot be unmounted for another reason, is detached: it ends
 * with its last user. If that fails too, the removal of the directory reports the reason.
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
