import { check, nr, syscall } from './libc.ts';

const SIGCHLD = 17;
/**
 * struct sigaction of the kernel, the same on x86-64 and arm64: handler, flags, restorer and mask, eight bytes each.
 */
const ACTION_BYTES = 32;
const MASK_BYTES = 8;
const SIG_IGN = 1n;

/**
 * Sets SIGCHLD to its default action. A parent process that ignores SIGCHLD passes this on through execve(2), and then
 * the kernel reports to nobody how a child ended (wait(2), ECHILD): a mkfs.xfs that succeeds would look like a failure
 * without a reason. A struct of zeroes is the default action.
 */
export function hearOfChildren(): void {
  const action = new BigUint64Array(ACTION_BYTES / 8);
  const bytes = new Uint8Array(action.buffer);
  check(syscall(nr.rt_sigaction, SIGCHLD, null, bytes, MASK_BYTES), 'rt_sigaction', 'SIGCHLD');
  if (action[0] !== SIG_IGN) return;
  action.fill(0n);
  check(syscall(nr.rt_sigaction, SIGCHLD, bytes, null, MASK_BYTES), 'rt_sigaction', 'SIGCHLD');
}
