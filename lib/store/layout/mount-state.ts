/** The mount, the loop file and the disk below a store. Reading them changes nothing. */
import { KiB, MiB } from '../../base/limits.ts';
import { parentOf } from '../../sys/files/path.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { readText } from '../../sys/kernel/read.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { type Mount, mountOf } from '../../sys/mounts/mountinfo.ts';
import type { Layout } from './layout.ts';

export interface MountState {
  readonly isReadOnly: boolean;
  /** True when the loop file has no name any more: its blocks are freed when the store is unmounted. */
  readonly isDeleted: boolean;
  /** Bytes; only for a loop file that may still grow on a full disk. */
  readonly below:
    | { readonly backing: string; readonly growthBytes: number; readonly freeBytes: number }
    | undefined;
}

/**
 * With less free space than this the disk counts as full: the log and metadata of the filesystem in the file need it.
 */
const FULL_BELOW_BYTES = 16 * MiB;

/** @throws SysError when nothing is at the store's path */
export function lookAtMount(layout: Layout): MountState {
  const mount = mountOf(layout.root);
  return {
    isReadOnly: mount !== undefined && [...mount.options, ...mount.superOptions].includes('ro'),
    isDeleted: mount !== undefined && isLoop(mount) && hasLostItsFile(mount),
    below: fullBelow(layout),
  };
}

/** The space below a sparse loop file, when its disk is full: then a write in the store fails with EIO, not ENOSPC. */
export function fullBelow({ backing }: Layout): MountState['below'] {
  const file = lookIfThere(backing);
  if (file === undefined) return undefined;
  // st_blocks counts 512 bytes whatever the filesystem's block is (stat(2)).
  const growthBytes = Math.max(0, file.size - file.blocks * 512);
  const freeBytes = filesystemOf(parentOf(backing)).availableBytes;
  return freeBytes < Math.min(growthBytes, FULL_BELOW_BYTES)
    ? { backing, growthBytes, freeBytes }
    : undefined;
}

const LOOP_MAJOR = 7;
const isLoop = ({ major }: Mount) => major === LOOP_MAJOR;

/** The ending that d_path() adds to the name of a deleted file. */
const DELETED = ' (deleted)\n';

function hasLostItsFile({ major, minor }: Mount): boolean {
  try {
    return readText(`/sys/dev/block/${major}:${minor}/loop/backing_file`, 64 * KiB).endsWith(DELETED);
  } catch (error) {
    // There is no sysfs, or the device is detached at this moment.
    if (hasCode(error, 'ENOENT', 'ENXIO', 'ENODEV', 'ENOTDIR')) return false;
    throw error;
  }
}
