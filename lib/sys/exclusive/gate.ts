/**
 * A gate on a directory, by flock(2): many pass at once, or one alone. The kernel opens it again when a process
 * ends, however it ends, and nothing is left on the disk. For sections of microseconds; what may take longer is
 * locked by `lock.ts`.
 */
import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
import { AT_FDCWD, mutate, nr, O, syscall } from '../kernel/libc.ts';

/** flock(2): LOCK_SH, LOCK_EX, each with LOCK_NB, so that a stopped process cannot keep others for ever. */
const MODES = { shared: 1 | 4, alone: 2 | 4 } as const;
/** Whoever keeps a gate longer than this is stopped or on a disk that stands still. */
const DEADLINE_MS = 10_000;
const PAUSE_MS = 1;

/**
 * Runs `section` behind the gate at `directory`; `what` names who else may be behind it.
 * @throws STORE_BUSY after `deadlineMs`, ten seconds unless told; SysError; what `section` throws
 */
export function throughGate<T>(
  directory: string,
  mode: keyof typeof MODES,
  what: string,
  section: () => T,
  deadlineMs = DEADLINE_MS,
): T {
  const fd = openAt(AT_FDCWD, directory, O.RDONLY | O.DIRECTORY);
  try {
    enter(fd, directory, mode, what, deadlineMs);
    return section();
  } finally {
    // The last descriptor of an open file description lets go of its lock.
    close(fd);
  }
}

function enter(
  fd: number,
  directory: string,
  mode: keyof typeof MODES,
  what: string,
  deadlineMs: number,
): void {
  const end = performance.now() + deadlineMs;
  while (!tryEnter(fd, directory, mode)) {
    if (performance.now() > end) throw new PluginError('STORE_BUSY', { what, seconds: deadlineMs / 1000 });
    Bun.sleepSync(PAUSE_MS);
  }
}

function tryEnter(fd: number, directory: string, mode: keyof typeof MODES): boolean {
  try {
    mutate('flock', directory, () => syscall(nr.flock, fd, MODES[mode]));
    return true;
  } catch (error) {
    // EINTR: a signal came first, and has nothing to say here.
    if (hasCode(error, 'EAGAIN', 'EWOULDBLOCK', 'EINTR')) return false;
    throw error;
  }
}
