/** An overlay that is mounted at no path. The overlay lives as long as its descriptor, however the process ends. */
import { close, openAt } from '../kernel/files.ts';
import { AT_FDCWD, check, cpath, nr, O, type PathBytes, syscall } from '../kernel/libc.ts';

const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;

export interface DetachedOverlay {
  readonly lower: PathBytes;
  /** Both on one filesystem, the work directory empty. */
  readonly upper: PathBytes;
  readonly work: PathBytes;
}

/** Opens the root of a new overlay (Linux 5.2). @throws SysError */
export function openDetachedOverlay({ lower, upper, work }: DetachedOverlay): number {
  const open: number[] = [];
  const named = (path: PathBytes) => {
    const fd = openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY);
    open.push(fd);
    // fsconfig(2) takes at most 255 bytes of a value. A descriptor's path is short and has no character that needs an
    // escape.
    return `/proc/self/fd/${fd}`;
  };
  try {
    const context = check(syscall(nr.fsopen, cpath('overlay'), CLOEXEC), 'fsopen', 'overlay');
    open.push(context);
    const parameters = [
      ['lowerdir', named(lower)],
      ['upperdir', named(upper)],
      ['workdir', named(work)],
      ['index', 'off'],
      ['metacopy', 'off'],
      ['redirect_dir', 'nofollow'],
    ] as const;
    for (const [key, value] of parameters) {
      const set = syscall(nr.fsconfig, context, FSCONFIG_SET_STRING, cpath(key), cpath(value));
      check(set, 'fsconfig', lower);
    }
    check(syscall(nr.fsconfig, context, FSCONFIG_CMD_CREATE), 'fsconfig', lower);
    return check(syscall(nr.fsmount, context, CLOEXEC), 'fsmount', lower);
  } finally {
    for (const fd of open) close(fd);
  }
}
