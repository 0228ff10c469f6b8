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

/**
 * The highest id that graft uses. The kernel has 32 bits; the upper half is for other users of a shared filesystem.
 */
const LAST_PROJECT_ID = 0x7fffffff;

/** Pauses between the checks whether XFS has freed the removed blocks. */
const PAUSES_MS = [1, 2, 4, 8, 16];

/** The ending of an id's link while the container's directory is being deleted. */
const DELETING = '~delete';

/**
 * Project ids of one store. `projectids/<n>` is a dangling symbolic link to its owner's name: one exclusive system
 * call makes the link together with its content. A directory, as GrootFS makes it, would not say who the owner is.
 *
 * The lowest free id is used, since XFS keeps a quota block for every id that was ever used and never frees it:
 * random ids would leave 4 KiB behind for each container.
 */
export class ProjectIds {
  readonly #layout: Layout;
  readonly #first: number;

  constructor(layout: Layout, first: number) {
    this.#layout = layout;
    this.#first = first;
  }

  /** Reserves a free id without usage and without a limit. @throws STORE_DAMAGED when no id is free, SysError */
  take(owner: OwnerName, device: QuotaDevice): number {
    const taken = new Set(this.list());
    for (let id = this.#first; id < LAST_PROJECT_ID; id += 1) {
      if (taken.has(id) || !this.#claim(id, owner)) continue;
      let unused = false;
      try {
        unused = isUnused(device, id);
      } finally {
        // Another program on this filesystem uses the id, or graft leaked it: files of two users must not count
        // together.
        if (!unused) this.#release(id);
      }
      if (unused) return id;
    }
    throw new PluginError('STORE_DAMAGED', {
      path: this.#layout.projectIds,
      reason: 'no project id is free',
    });
  }

  /** Every id that is reserved. */
  list(): number[] {
    return listNames(this.#layout.projectIds)
      .map(Number)
      .filter((id) => Number.isInteger(id) && id >= 2);
  }

  /**
   * Removes the limit of an id, and frees the id when nothing is charged to it. Returns false while blocks are
   * charged: XFS frees them in the background after the last unlink, usually within milliseconds. A later sweep then
   * frees the id.
   */
  giveBack(id: number, device: QuotaDevice): boolean {
    clearProjectLimit(device, id);
    for (const pause of PAUSES_MS) {
      if (!isCharged(device, id)) {
        this.#release(id);
        return true;
      }
      // A query of id 0 makes XFS free the blocks at once (xfs_qm_scall_getquota).
      getProjectUsage(device, 0);
      Bun.sleepSync(pause);
    }
    return false;
  }

  /**
   * The id that this store set on a container's directory; 0 for none. When an operator has limited a parent
   * directory, everything below inherits the operator's id: graft neither reports that id nor removes its limit.
   */
  of(directory: string): number {
    const id = projectIdOf(directory);
    const isOurs = id !== 0 && (this.ownerOf(id) !== undefined || exists(`${directory}/image_quota`));
    return isOurs ? id : 0;
  }

  /** The owner in the link of an id; undefined when the id is free or its file is not a link. */
  ownerOf(id: number): string | undefined {
    try {
      return utf8(byteName(readlinkAt(AT_FDCWD, this.#path(id))));
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EINVAL')) return undefined;
      throw error;
    }
  }

  /**
   * Makes this process the owner of an id. A delete calls this before it removes the directory that carries the id:
   * the process that made the image is dead, and a sweep takes an id of a dead owner for leaked when no directory
   * carries it.
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

/** The project id of a file; 0 when it has none, cannot have one, or is gone. */
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
