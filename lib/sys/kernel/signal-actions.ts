/** How this process takes signals (sigaction(2)), where a parent or the runtime leaves that wrong. */
import { check, nr, syscall } from './libc.ts';

const SIGCHLD = 17;
/** The last signal below the real-time ones (signal(7)). */
const LAST_SIGNAL = 31;
/** struct sigaction of the kernel, on both machines: handler, flags, restorer and mask, eight bytes each. */
const ACTION_BYTES = 32;
const MASK_BYTES = 8;
const SIG_DFL = 0n;
const SIG_IGN = 1n;

/**
 * Sets SIGCHLD to its default action. A parent process that ignores SIGCHLD passes this on through execve(2), and then
 * the kernel reports to nobody how a child ended (wait(2), ECHILD): a mkfs.xfs that succeeds would look like a failure
 * without a reason.
 */
export function hearOfChildren(): void {
  if (actionOf(SIGCHLD) === SIG_IGN) setAction(SIGCHLD, SIG_DFL);
}

/**
 * Makes a call that adds and removes listeners for signals. The runtime gives a signal whose last listener goes its
 * default, also one that was ignored: SIGXFSZ, which the runtime ignores so that a write beyond RLIMIT_FSIZE is EFBIG, and
 * what the parent ignores (`nohup`). Such a signal is ignored again afterwards.
 */
export function keepingIgnoredSignals<T>(call: () => T): T {
  const ignored: number[] = [];
  for (let signal = 1; signal <= LAST_SIGNAL; signal += 1)
    if (actionOf(signal) === SIG_IGN) ignored.push(signal);
  try {
    return call();
  } finally {
    for (const signal of ignored) if (actionOf(signal) === SIG_DFL) setAction(signal, SIG_IGN);
  }
}

/** The handler's address, or SIG_DFL or SIG_IGN. */
function actionOf(signal: number): bigint {
  const action = new BigUint64Array(ACTION_BYTES / 8);
  check(
    syscall(nr.rt_sigaction, signal, null, new Uint8Array(action.buffer), MASK_BYTES),
    'rt_sigaction',
    '',
  );
  return action[0] ?? SIG_DFL;
}

function setAction(signal: number, handler: bigint): void {
  const action = new BigUint64Array(ACTION_BYTES / 8);
  action[0] = handler;
  check(
    syscall(nr.rt_sigaction, signal, new Uint8Array(action.buffer), null, MASK_BYTES),
    'rt_sigaction',
    '',
  );
}
