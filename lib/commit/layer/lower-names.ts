/** Whether the lower directories of a container show something at a path, and an upper name therefore hides it. */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { isWhiteout, type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import { fgetxattr } from '../../sys/kernel/xattr.ts';

const DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
const OPAQUE = 'trusted.overlay.opaque';
const YES = 'y'.charCodeAt(0);

/** The answer of one lower directory: it shows the path, hides it from those below, or says nothing about it. */
type Answer = Stat | 'hides' | 'lacks';

/** @param lowers paths of the lower directories, topmost first */
export function isBelow(lowers: readonly string[], path: ByteName): boolean {
  return lookBelow(lowers, path) !== undefined;
}

/** The file that the lower directories show at a path; undefined where they show none. @param lowers as in `isBelow` */
export function lookBelow(lowers: readonly string[], path: ByteName): Stat | undefined {
  for (const lower of lowers) {
    const answer = ask(lower, path.split('/') as ByteName[]);
    if (answer !== 'lacks') return answer === 'hides' ? undefined : answer;
  }
  return undefined;
}

/** Goes down by descriptor, one name at a time: a layer may have a link in the place of a directory. */
function ask(lower: string, names: readonly ByteName[]): Answer {
  let fd = openAt(AT_FDCWD, lower, DIRECTORY);
  let isOpaque = false;
  try {
    for (const [at, name] of names.entries()) {
      const stat = statIfThere(fd, bytesOf(name));
      if (stat === undefined) break;
      if (isWhiteout(stat)) return 'hides';
      if (at === names.length - 1) return stat;
      const next = openIf(fd, name);
      // A file or a link hides a directory of a lower one.
      if (next === undefined) return 'hides';
      close(fd);
      fd = next;
      isOpaque ||= fgetxattr(fd, OPAQUE)?.[0] === YES;
    }
    return isOpaque ? 'hides' : 'lacks';
  } finally {
    close(fd);
  }
}

function openIf(dirfd: number, name: ByteName): number | undefined {
  try {
    return openAt(dirfd, bytesOf(name), DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOTDIR', 'ELOOP', 'ENOENT')) return undefined;
    throw error;
  }
}
