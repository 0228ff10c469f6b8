/** Sizes in the blocks that filesystems give out. Warm verbs load this file, so it imports nothing. */

/** Of `Stat.blocks`, on every filesystem (stat(2)). */
const STAT_BLOCK = 512;
/** The smallest unit that XFS and ext4 allocate by default. */
export const DISK_BLOCK = 4096;
/** Bytes in whole blocks. */
export function inBlocks(bytes: number): number {
  return Math.ceil(bytes / DISK_BLOCK) * DISK_BLOCK;
}

export function bytesOnDisk(stat: { readonly blocks: number }): number {
  return stat.blocks * STAT_BLOCK;
}
