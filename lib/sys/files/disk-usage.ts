/**
 * The disk usage of a directory as du(1) -x counts it: the blocks of every name below it, each inode once, on one
 * filesystem.
 */
import { bytesOf } from '../../base/bytes.ts';
import { DirentReader, DT } from '../kernel/dirents.ts';
import { hasCode } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
import { O, type PathBytes } from '../kernel/libc.ts';
import { isDirectory, type Stat, statAt, statFd } from '../kernel/stat.ts';

/** Each level of the walk has one open descriptor. Deeper directories are not counted: no honest tree is so deep. */
const MAX_DEPTH = 256;
const OPEN = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.NONBLOCK;

/**
 * Disk usage in bytes of `name` in `dirfd` and of everything below. Other processes may change the tree during the
 * walk: a name that vanishes, is replaced or cannot be read counts 0. The walk goes by descriptor and follows no links.
 * A file that also has hard links elsewhere counts in proportion to its links in this tree.
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
    // The name is another directory by now, or the root of a mount.
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
