import { check, syscall } from '../../../lib/sys/kernel/libc.ts';

const ARM = process.arch === 'arm64';
const NR_PIPE2 = ARM ? 59 : 293;
const O_CLOEXEC = 0o2000000;

/** Flags of pipe2(2): writes that do not wait; every write a read of its own. */
export const NONBLOCKING = 0o4000;
export const PACKETS = ARM ? 0o200000 : 0o40000;

/** Read end and write end, in no child unless it is given one. */
export function pipe(flags: number): readonly [number, number] {
  const fds = new Int32Array(2);
  check(syscall(NR_PIPE2, new Uint8Array(fds.buffer), flags | O_CLOEXEC), 'pipe2', 'pipe');
  return [fds[0] ?? -1, fds[1] ?? -1];
}
