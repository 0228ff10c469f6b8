/** What a store lies on: its mount, its loop file, and the disk below that. Looks, and changes nothing. */
import { KiB, MiB } from '../../base/limits.ts';
import { parentOf } from '../../sys/files/path.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { readText } from '../../sys/kernel/read.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { type Mount, mountOf } from '../../sys/mounts/mountinfo.ts';
import type { Layout } from './layout.ts';

export interface Place {
  readonly isReadOnly: boolean;
  /** The loop file has no name any more: its blocks go with the mount. */
  readonly isDeleted: boolean;
  /** Only with a loop file that may grow on a disk that is full. Bytes. */
  readonly below:
    | { readonly backing: string; readonly growthBytes: number; readonly freeBytes: number }
    | undefined;
}

/** Less than this is used up by what the filesystem in the file writes by itself: its log and its metadata. */
const FULL_BELOW_BYTES = 16 * MiB;

/** @throws SysError where nothing is at the store's path */
export function lookAtPlace(layout: Layout): Place {
  const mount = mountOf(layout.root);
  return {
    isReadOnly: mount !== undefined && [...mount.options, ...mount.superOptions].includes('ro'),
    isDeleted: mount !== undefined && isLoop(mount) && hasLostItsFile(mount),
    below: fullBelow(layout),
  };
}

/** Where the disk below a sparse loop file is full: a write in the store fails with EIO then, and not with ENOSPC. */
export function fullBelow({ backing }: Layout): Place['below'] {
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

/** What d_path() adds to the name of a file that was unlinked. */
const DELETED = ' (deleted)\n';

function hasLostItsFile({ major, minor }: Mount): boolean {
  try {
    return readText(`/sys/dev/block/${major}:${minor}/loop/backing_file`, 64 * KiB).endsWith(DELETED);
  } catch (error) {
    // Without sysfs, or where the device goes this moment.
    if (hasCode(error, 'ENOENT', 'ENXIO', 'ENODEV', 'ENOTDIR')) return false;
    throw error;
  }
}
