/** How this process looks from outside: its memory, its core, its arguments, its descriptor for messages. */
import { dlopen, type Pointer, read, toArrayBuffer } from 'bun:ffi';
import { close, openAt } from './files.ts';
import { AT_FDCWD, check, libc, O, syscall } from './libc.ts';

const ARM = process.arch === 'arm64';
const NR = {
  fcntl: ARM ? 25 : 72,
  dup3: ARM ? 24 : 292,
  prctl: ARM ? 167 : 157,
  prlimit64: ARM ? 261 : 302,
} as const;

const PR_SET_DUMPABLE = 4;
const RLIMIT_CORE = 4;
const F_DUPFD_CLOEXEC = 1030;
const STDERR = 2;

/**
 * No other user reads this process's memory or environment, and no core of it is written, whatever the machine does
 * with cores: the limit counts for files, the flag also for programs that take cores (core(5)). The kernel refuses
 * neither; a sandbox that does must not keep a container from its image.
 */
export function keepMemoryPrivate(): void {
  syscall(NR.prctl, PR_SET_DUMPABLE, 0);
  syscall(NR.prlimit64, 0, RLIMIT_CORE, new Uint8Array(16));
}

/**
 * Overwrites parts of this process's arguments where `ps` and /proc/PID/cmdline read them. The kernel lays the
 * arguments one behind the other (execve(2)), and the C library knows the first.
 * @param count of arguments, without the program's name
 * @param partOf the part of an argument to overwrite, as offsets of its first byte and of the byte behind its last
 * one; it gets the argument and the one before it, one character a byte
 */
export function eraseArguments(
  count: number,
  partOf: (argument: string, before: string) => readonly [from: number, to: number] | undefined,
): void {
  const { program_invocation_name: name, strlen } = dlopen('libc.so.6', {
    program_invocation_name: { args: [], returns: 'ptr' },
    strlen: { args: ['ptr'], returns: 'u64' },
  }).symbols;
  // The symbol is a variable, so its address is where the pointer to the name lies.
  let at = read.ptr((name as unknown as { ptr: Pointer }).ptr, 0);
  let before = '';
  for (let i = 0; i <= count; i += 1) {
    const length = Number(strlen(at as Pointer));
    if (i > 0 && length > 0) {
      const bytes = new Uint8Array(toArrayBuffer(at as Pointer, 0, length));
      const argument = latin1(bytes);
      const part = partOf(argument, before);
      if (part !== undefined) bytes.fill(ERASED, part[0], part[1]);
      before = argument;
    } else {
      before = '';
    }
    at += length + 1;
  }
}

/** An asterisk. */
const ERASED = 0x2a;

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/**
 * Keeps descriptor 2 for ourselves: what the runtime writes there, a report of its crash above all, goes nowhere.
 * @returns the descriptor under which messages now go out; 2 itself where there is no /dev/null
 */
export function takeStderr(): number {
  const copy = syscall(NR.fcntl, STDERR, F_DUPFD_CLOEXEC, 3);
  // A closed descriptor 2 has nothing to lose.
  if (copy < 0) return STDERR;
  try {
    const nowhere = openAt(AT_FDCWD, '/dev/null', O.WRONLY | O.CLOEXEC);
    check(syscall(NR.dup3, nowhere, STDERR), 'dup3', '/dev/null');
    close(nowhere);
    return copy;
  } catch {
    libc.close(copy);
    return STDERR;
  }
}
