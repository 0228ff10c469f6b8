import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { S, type Stat, statFd } from '../../sys/kernel/stat.ts';
import type { Layout } from './layout.ts';
import { whyNotRoots } from './roots-own.ts';

/** True for a regular file that only root can change. */
export function isOwnFile(path: string): boolean {
  const stat = lookIfThere(path);
  return stat !== undefined && whyForeign(stat) === undefined;
}

/**
 * Opens the loop file beside a store and does not follow a link. A file that others than root can change is refused:
 * a user who can write the file controls the whole filesystem in it.
 * @throws STORE_BAD_PATH, SysError
 */
export function openOwnFile(layout: Layout, path: string, flags: number): number {
  let fd = -1;
  try {
    fd = openAt(AT_FDCWD, path, flags | O.NOFOLLOW | O.NONBLOCK);
    refuse(layout, path, statFd(fd));
    return fd;
  } catch (error) {
    if (fd >= 0) close(fd);
    if (hasCode(error, 'ELOOP')) throw foreign(layout, path, 'is a symbolic link');
    throw error;
  }
}

function refuse(layout: Layout, path: string, stat: Stat): void {
  const reason = whyForeign(stat);
  if (reason !== undefined) throw foreign(layout, path, reason);
}

function whyForeign(stat: Stat): string | undefined {
  const type = stat.mode & S.IFMT;
  if (type === S.IFLNK) return 'is a symbolic link';
  if (type !== S.IFREG) return 'is not a regular file';
  // A second hard link may mean that another user made the file: without fs.protected_hardlinks every user may link
  // it.
  if (stat.nlink !== 1) return `has ${stat.nlink} names`;
  return whyNotRoots(stat);
}

function foreign(layout: Layout, path: string, reason: string): PluginError<'STORE_BAD_PATH'> {
  return new PluginError('STORE_BAD_PATH', {
    store: layout.root,
    reason: `its loop file would be ${path}, which ${reason}; move that away, or give another path`,
  });
}
