import { hasCode } from './errno.ts';
import { check, libc, nr, O, syscall } from './libc.ts';

/** fcntl(2). */
const F_SETFL = 4;

/** pipe2(2). Writes never block, reads do. Both ends are closed on exec. */
export function openPipe(): { readonly reader: number; readonly writer: number } {
  const ends = new Int32Array(2);
  check(syscall(nr.pipe2, new Uint8Array(ends.buffer), O.CLOEXEC), 'pipe2', '');
  const [reader = -1, writer = -1] = ends;
  check(syscall(nr.fcntl, writer, F_SETFL, O.NONBLOCK), 'fcntl', '');
  return { reader, writer };
}

/** write(2) to a pipe: the number of bytes that found room, 0 while the pipe is full. @throws SysError EPIPE */
export function writeToPipe(fd: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  try {
    return check(Number(libc.write(fd, bytes, bytes.length)), 'write', 'pipe');
  } catch (error) {
    if (hasCode(error, 'EAGAIN')) return 0;
    throw error;
  }
}
