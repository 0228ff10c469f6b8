/**
 * Hides parts of this process from other processes: its memory, its core dump, its arguments, and the runtime's
 * messages.
 */
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
const RLIMIT_NOFILE = 7;
const F_DUPFD_CLOEXEC = 1030;
const STDERR = 2;

/**
 * Keeps other users from reading this process's memory and environment, and prevents core dumps. RLIMIT_CORE prevents
 * core files; the dumpable flag also stops programs that receive cores through a pipe (core(5)). The kernel never
 * refuses these calls. A sandbox may refuse them, and its error is ignored: a container gets its image all the same.
 */
export function keepMemoryPrivate(): void {
  syscall(NR.prctl, PR_SET_DUMPABLE, 0);
  syscall(NR.prlimit64, 0, RLIMIT_CORE, new Uint8Array(16));
}

/** How many files this process may hold open (RLIMIT_NOFILE, the soft limit); Infinity where the kernel does not say. */
export function openFilesLimit(): number {
  const limits = new Uint8Array(16);
  if (syscall(NR.prlimit64, 0, RLIMIT_NOFILE, null, limits) < 0) return Number.POSITIVE_INFINITY;
  return Number(new DataView(limits.buffer).getBigUint64(0, true));
}

/**
 * Overwrites parts of this process's arguments where `ps` and /proc/PID/cmdline read them.
 * @param count number of arguments, without the program's name
 * @param partOf gets an argument and the one before it, one character for each byte; returns the part to overwrite as
 * the offsets of its first byte and of the byte after its last
 */
export function eraseArguments(
  count: number,
  partOf: (argument: string, before: string) => readonly [from: number, to: number] | undefined,
): void {
  let before = '';
  for (const bytes of ownArguments(count)) {
    const argument = latin1(bytes);
    const part = argument === '' ? undefined : partOf(argument, before);
    if (part !== undefined) bytes.fill(ERASED, part[0], part[1]);
    before = argument;
  }
}

/**
 * The first of this process's arguments that is not UTF-8. The runtime puts U+FFFD for what it cannot decode, so that
 * two names become one, and a third that exists nowhere.
 * @param count of arguments, without the program's name
 * @returns its number, counted from 1
 */
export function argumentNotUtf8(count: number): number | undefined {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  for (const bytes of ownArguments(count)) {
    number += 1;
    try {
      decoder.decode(bytes);
    } catch {
      return number;
    }
  }
  return undefined;
}

/**
 * The bytes of this process's arguments, without the program's name: the kernel's own, which can be written. The kernel
 * lays the arguments one behind the other (execve(2)), and the C library knows the first.
 */
function* ownArguments(count: number): Generator<Uint8Array> {
  const { program_invocation_name: name, strlen } = dlopen('libc.so.6', {
    program_invocation_name: { args: [], returns: 'ptr' },
    strlen: { args: ['ptr'], returns: 'u64' },
  }).symbols;
  // The symbol is a variable of the C library: its address holds the pointer to the program's name.
  let at = read.ptr((name as unknown as { ptr: Pointer }).ptr, 0);
  for (let i = 0; i <= count; i += 1) {
    const length = Number(strlen(at as Pointer));
    if (i > 0)
      yield length === 0 ? new Uint8Array(0) : new Uint8Array(toArrayBuffer(at as Pointer, 0, length));
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
 * Moves descriptor 2 to a new descriptor, and opens /dev/null as 2. So text that the runtime writes to 2, such as its
 * crash report, is not shown.
 * @returns the descriptor for messages from now on; 2 itself where there is no /dev/null
 */
export function takeStderr(): number {
  const copy = syscall(NR.fcntl, STDERR, F_DUPFD_CLOEXEC, 3);
  // Descriptor 2 is closed, so no text can appear there.
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
