import { byteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, readlinkAt, renameAt, symlinkAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { utf8 } from '../../sys/kernel/utf8.ts';
import {
  clearProjectLimit,
  getProjectId,
  getProjectUsage,
  type QuotaDevice,
} from '../../sys/mounts/quota.ts';
import type { Layout } from '../layout/layout.ts';
import { newOwnerName, type OwnerName } from '../layout/owner-name.ts';
import { discardStaged, newStagePath, removeName } from '../layout/staging.ts';

/** Highest id handed out. The kernel has 32 bits; the upper half is left to others on a shared filesystem. */
const LAST_PROJECT_ID = 0x7fffffff;

/** Between looks at whether XFS has freed what was removed. */
const PAUSES_MS = [1, 2, 4, 8, 16];

/** What the link of an id says whose image is being deleted. */
const DELETING = '~delete';

/**
 * Project ids of one store. `projectids/<n>` is a dangling symbolic link to its owner's name: made in one
 * exclusive step with its content, where a directory (as GrootFS makes) would say nothing about whose it is.
 *
 * The lowest free id is taken, since XFS keeps a quota block for every id that was ever used and never
 * gives it back; random ids would leave 4 KiB behind for each container.
 */
export class ProjectIds {
  readonly #layout: Layout;
  readonly #first: number;

  constructor(layout: Layout, first: number) {
    this.#layout = layout;
    this.#first = first;
  }

  /** Takes an id that nobody uses and that has no usage and no limit. @throws STORE_FULL never; SysError. */
  take(owner: OwnerName, device: QuotaDevice): number {
    const taken = new Set(this.list());
    for (let id = this.#first; id < LAST_PROJECT_ID; id += 1) {
      if (taken.has(id) || !this.#claim(id, owner)) continue;
      let unused = false;
      try {
        unused = isUnused(device, id);
      } finally {
        // Somebody else's, on a filesystem that is not ours alone, or a leak of ours: not to be mixed with.
        if (!unused) this.#release(id);
      }
      if (unused) return id;
    }
    throw new PluginError('STORE_DAMAGED', {
      path: this.#layout.projectIds,
      reason: 'no project id is free',
    });
  }

  /** Every id that is taken. */
  list(): number[] {
    return listNames(this.#layout.projectIds)
      .map(Number)
      .filter((id) => Number.isInteger(id) && id >= 2);
  }

  /**
   * Gives an id back once nothing is charged to it any more, and takes its limit away either way.
   * Returns false while blocks are still charged: XFS frees them in the background after the last unlink, in
   * milliseconds as a rule. What is left is for a sweep.
   */
  giveBack(id: number, device: QuotaDevice): boolean {
    clearProjectLimit(device, id);
    for (const pause of PAUSES_MS) {
      if (!isCharged(device, id)) {
        this.#release(id);
        return true;
      }
      // Asking for id 0 makes XFS begin with it at once (xfs_qm_scall_getquota).
      getProjectUsage(device, 0);
      Bun.sleepSync(pause);
    }
    return false;
  }

  /**
   * The id that this store gave to a container's directory; 0 for none. Below a directory that an operator has limited
   * everything inherits another one, which is neither ours to report nor to take a limit from.
   */
  of(directory: string): number {
    const id = projectIdOf(directory);
    const isOurs = id !== 0 && (this.ownerOf(id) !== undefined || exists(`${directory}/image_quota`));
    return isOurs ? id : 0;
  }

  /** What the link of an id says: whose it is. Undefined when it is nobody's, or no link. */
  ownerOf(id: number): string | undefined {
    try {
      return utf8(byteName(readlinkAt(AT_FDCWD, this.#path(id))));
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EINVAL')) return undefined;
      throw error;
    }
  }

  /**
   * For whoever deletes the directory that carries the id, and before its last name goes: who made it is dead, and
   * a sweep would take an id for leaked that no directory carries any more.
   */
  takeOver(id: number): void {
    const staged = newStagePath(this.#layout, 'projectid');
    symlinkAt(`${newOwnerName()}${DELETING}`, AT_FDCWD, staged);
    try {
      renameAt(AT_FDCWD, staged, AT_FDCWD, this.#path(id));
    } catch (error) {
      discardStaged(staged);
      throw error;
    }
  }

  #path(id: number): string {
    return `${this.#layout.projectIds}/${id}`;
  }

  #claim(id: number, owner: OwnerName): boolean {
    try {
      symlinkAt(owner, AT_FDCWD, this.#path(id));
      return true;
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw error;
    }
  }

  #release(id: number): void {
    removeName(this.#layout, this.#path(id));
  }
}

function isUnused(device: QuotaDevice, id: number): boolean {
  const usage = getProjectUsage(device, id);
  return usage === undefined || (usage.usedBytes === 0 && usage.limitBytes === 0 && usage.inodes === 0);
}

function isCharged(device: QuotaDevice, id: number): boolean {
  const usage = getProjectUsage(device, id);
  return usage !== undefined && (usage.usedBytes !== 0 || usage.inodes !== 0);
}

/** 0 for what carries none, cannot carry one, or is gone. */
export function projectIdOf(path: string): number {
  try {
    const fd = openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    try {
      return getProjectId(fd);
    } finally {
      close(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTTY', 'EOPNOTSUPP')) return 0;
    throw error;
  }
}
