/**
 * A gate is a lock on a directory, by flock(2): many processes pass in shared mode at once, or one passes alone. The
 * kernel opens the gate when a process ends, however it ends, and nothing is left on the disk. A gate is for sections
 * of microseconds; longer sections use `lock.ts`.
 */
import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
import { AT_FDCWD, mutate, nr, O, syscall } from '../kernel/libc.ts';

/**
 * Modes of flock(2): LOCK_SH and LOCK_EX, each with LOCK_NB, so that a stopped process cannot block others for ever.
 */
const MODES = { shared: 1 | 4, alone: 2 | 4 } as const;
/** A process that keeps a gate longer than this is stopped, or waits for a disk that does not answer. */
const DEADLINE_MS = 10_000;
const PAUSE_MS = 1;

/**
 * Runs `section` behind the gate at `directory`. The error names with `what` the work that other processes may do
 * behind the gate.
 * @throws STORE_BUSY after `deadlineMs` (10 seconds by default); SysError; what `section` throws
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
    // close(2) of the last descriptor of an open file description releases its lock.
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
    // EINTR: a signal arrived first. The caller tries again.
    if (hasCode(error, 'EAGAIN', 'EWOULDBLOCK', 'EINTR')) return false;
    throw error;
  }
}
