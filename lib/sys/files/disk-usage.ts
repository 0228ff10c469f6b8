/** What du(1) -x would count: blocks of every name below a directory, each inode once, one filesystem only. */
import { bytesOf } from '../../base/bytes.ts';
import { DirentReader, DT } from '../kernel/dirents.ts';
import { hasCode } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
import { O, type PathBytes } from '../kernel/libc.ts';
import { isDirectory, type Stat, statAt, statFd } from '../kernel/stat.ts';

/** One descriptor a level is open. What lies deeper is not counted: only somebody who hides something nests so far. */
const MAX_DEPTH = 256;
const OPEN = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.NONBLOCK;

/**
 * Bytes of `name` in `dirfd` and of everything below, as far as it can be looked at: others may work in the tree, and
 * what vanishes or is replaced meanwhile counts 0. Links are not followed, descriptors are what the walk goes by. A file
 * with names elsewhere counts in proportion to the names that are here.
 */
export function diskUsage(dirfd: number, name: PathBytes): number {
  let stat: Stat;
  try {
    stat = statAt(dirfd, name);
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
  return sumOf(dirfd, name, stat, stat, 0);
}

function sumOf(dirfd: number, name: PathBytes, stat: Stat, top: Stat, depth: number): number {
  if (stat.devMajor !== top.devMajor || stat.devMinor !== top.devMinor) return 0;
  const own = stat.blocks * 512;
  if (!isDirectory(stat)) return stat.nlink > 1 ? own / stat.nlink : own;
  return depth < MAX_DEPTH ? own + below(dirfd, name, stat, top, depth) : own;
}

function below(dirfd: number, name: PathBytes, stat: Stat, top: Stat, depth: number): number {
  let fd: number;
  try {
    fd = openAt(dirfd, name, OPEN);
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
  let sum = 0;
  try {
    // Another directory by now, or the root of a mount.
    if (statFd(fd).ino !== stat.ino || statFd(fd).devMinor !== top.devMinor) return 0;
    const reader = new DirentReader(fd, '');
    for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
      if (entry.type === DT.CHR || entry.type === DT.SOCK || entry.type === DT.FIFO) continue;
      try {
        const child = bytesOf(entry.name);
        sum += sumOf(fd, child, statAt(fd, child), top, depth + 1);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
    return sum;
  } finally {
    close(fd);
  }
}

function isGone(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EIO', 'EUCLEAN', 'ESTALE');
}
