import { libc } from '../lib/sys/libc.ts';
import type { Terminal } from './progress.ts';

/** ioctl(2) that every terminal answers and nothing else does (tcgetattr(3), so isatty(3), is made of it). */
const TCGETS = 0x5401;
/** struct termios of the kernel is 36 bytes; room to spare. */
const TERMIOS_BYTES = 64;

/** isatty(3). */
export function isTerminal(fd: number): boolean {
  return libc.ioctl(fd, TCGETS, new Uint8Array(TERMIOS_BYTES)) === 0;
}

/** The terminal on stderr. `process.stderr` is touched only here, since it costs 13 ms (measured). */
export function terminalOn(write: (text: string) => void, term: string | undefined): Terminal {
  return {
    write,
    columns: () => process.stderr.columns ?? 80,
    redraws: term !== undefined && term !== 'dumb',
  };
}
