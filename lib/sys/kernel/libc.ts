import { dlopen, FFIType, type Pointer, ptr, read } from 'bun:ffi';
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { SysError } from './errno.ts';
import { faultAfter, faultBefore } from './fault.ts';

/**
 * The C functions that short verbs need. All of them are older than glibc 2.17, because dlopen(3) here throws if one
 * symbol is missing. Younger functions are called by number through `syscall(2)` (`nr` below).
 */
const LIBC = 'libc.so.6';
export let libcWorks = true;
export const libc = openLibc();

function openLibc() {
  try {
    return dlopenLibc();
  } catch (error) {
    // Bun makes calls to a library by machine code that it generates at run time, and throws where the system forbids
    // that.
    libcWorks = false;
    const refused = new PluginError('CLI_NO_MACHINE_CODE', {}, { cause: error });
    return new Proxy({} as ReturnType<typeof dlopenLibc>, {
      get() {
        throw refused;
      },
    });
  }
}

function dlopenLibc() {
  return dlopen(LIBC, {
    __errno_location: { args: [], returns: 'ptr' },
    openat: { args: ['i32', 'ptr', 'i32', 'u32'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
    read: { args: ['i32', 'ptr', 'u64'], returns: FFIType.i64_fast },
    write: { args: ['i32', 'ptr', 'u64'], returns: FFIType.i64_fast },
    mkdirat: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    unlinkat: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
    symlinkat: { args: ['ptr', 'i32', 'ptr'], returns: 'i32' },
    fchownat: { args: ['i32', 'ptr', 'u32', 'u32', 'i32'], returns: 'i32' },
    fchmodat: { args: ['i32', 'ptr', 'u32', 'i32'], returns: 'i32' },
    utimensat: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
    ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
    mount: { args: ['ptr', 'ptr', 'ptr', 'u64', 'ptr'], returns: 'i32' },
    umount2: { args: ['ptr', 'i32'], returns: 'i32' },
    readlinkat: { args: ['i32', 'ptr', 'ptr', 'u64'], returns: FFIType.i64_fast },
    fstatfs: { args: ['i32', 'ptr'], returns: 'i32' },
    fchdir: { args: ['i32'], returns: 'i32' },
    syscall: { args: ['i64', 'i64', 'i64', 'i64', 'i64', 'i64'], returns: FFIType.i64_fast },
  } as const).symbols;
}

/**
 * The functions for unpacking, publishing and old kernels. They are loaded later, since every symbol costs 8 µs at
 * start (measured).
 */
function openMore() {
  return dlopen(LIBC, {
    linkat: { args: ['i32', 'ptr', 'i32', 'ptr', 'i32'], returns: 'i32' },
    fchown: { args: ['i32', 'u32', 'u32'], returns: 'i32' },
    fchmod: { args: ['i32', 'u32'], returns: 'i32' },
    futimens: { args: ['i32', 'ptr'], returns: 'i32' },
    ftruncate: { args: ['i32', 'i64'], returns: 'i32' },
    fsync: { args: ['i32'], returns: 'i32' },
    syncfs: { args: ['i32'], returns: 'i32' },
    quotactl: { args: ['i32', 'ptr', 'u32', 'ptr'], returns: 'i32' },
    lsetxattr: { args: ['ptr', 'ptr', 'ptr', 'u64', 'i32'], returns: 'i32' },
    fsetxattr: { args: ['i32', 'ptr', 'ptr', 'u64', 'i32'], returns: 'i32' },
    lgetxattr: { args: ['ptr', 'ptr', 'ptr', 'u64'], returns: FFIType.i64_fast },
    llistxattr: { args: ['ptr', 'ptr', 'u64'], returns: FFIType.i64_fast },
  } as const).symbols;
}
let more: ReturnType<typeof openMore> | undefined;
/** These functions; the first call loads them. */
export function moreLibc(): ReturnType<typeof openMore> {
  more ??= openMore();
  return more;
}

type Bytes = Uint8Array | Pointer | null;

/**
 * `syscall(2)` by number, with up to five arguments: numbers unchanged, byte arrays by their address (which does not
 * change while the array is referenced). The same type of signature serves all calls: every `dlopen` costs 50–100 µs at
 * start, and converting the address here costs no more than a typed signature (0.9 µs for each call either way).
 */
export function syscall(number: number, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0): number {
  return libc.syscall(number, word(a), word(b), word(c), word(d), word(e)) as number;
}
type Arg = number | Uint8Array | null;
function word(value: Arg): number {
  if (typeof value === 'number') return value;
  return value === null ? 0 : ptr(value);
}

/** Argument types (int, pointer, int, int, int). */
export function syscallIPIII(nr: number, a: number, b: Bytes, c = 0, d = 0, e = 0): number {
  return syscall(nr, a, b, c, d, e);
}
/** Argument types (int, pointer, pointer, int, int). */
export function syscallIPPII(nr: number, a: number, b: Bytes, c: Bytes, d = 0, e = 0): number {
  return syscall(nr, a, b, c, d, e);
}
/** Argument types (int, pointer, int, pointer, int). */
export function syscallIPIPI(nr: number, a: number, b: Bytes, c: number, d: Bytes, e = 0): number {
  return syscall(nr, a, b, c, d, e);
}

const ARM = process.arch === 'arm64';
/** System call numbers. Numbers above 424 are the same on every architecture (asm-generic/unistd.h). */
export const nr = {
  ioctl: ARM ? 29 : 16,
  lseek: ARM ? 62 : 8,
  fcntl: ARM ? 25 : 72,
  flock: ARM ? 32 : 73,
  getdents64: ARM ? 61 : 217,
  fgetxattr: ARM ? 10 : 193,
  flistxattr: ARM ? 13 : 196,
  fadvise64: ARM ? 223 : 221,
  inotify_add_watch: ARM ? 27 : 254,
  inotify_init1: ARM ? 26 : 294,
  fremovexattr: ARM ? 16 : 199,
  mknodat: ARM ? 33 : 259,
  pipe2: ARM ? 59 : 293,
  ppoll: ARM ? 73 : 271,
  renameat2: ARM ? 276 : 316,
  rt_sigaction: ARM ? 134 : 13,
  statx: ARM ? 291 : 332,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  openat2: 437,
  mount_setattr: 442,
  quotactl_fd: 443,
} as const;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: ARM ? 0o40000 : 0o200000,
  NOFOLLOW: ARM ? 0o100000 : 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  /** O_TMPFILE includes the bit of O_DIRECTORY, so that kernels without it fail (open(2)). */
  TMPFILE: 0o20000000 | (ARM ? 0o40000 : 0o200000),
} as const;

/** A path as bytes: names in layers are not always UTF-8. */
export type PathBytes = string | Uint8Array;

/**
 * The bytes of a path, NUL-terminated. Throws for a NUL inside, where the kernel would cut the path without an error.
 */
export function cpath(path: PathBytes): Uint8Array {
  const bytes = typeof path === 'string' ? encoder.encode(`${path}\0`) : terminated(path);
  if (bytes.indexOf(0) !== bytes.length - 1) throw new SysError(22, 'path', printable(path));
  return bytes;
}
/** For text as bytes without `Buffer`, whose first use costs 0.2 ms (measured). */
const encoder = new TextEncoder();

function terminated(path: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(path.length + 1);
  bytes.set(path);
  return bytes;
}

export function errno(): number {
  const at = libc.__errno_location();
  return at === null ? 0 : read.i32(at, 0);
}

/**
 * Turns a result of -1 into a SysError. The errno is read at once: no other call may run between the system call and
 * this one.
 */
export function check(result: number, syscall: string, path: PathBytes): number {
  if (result < 0) throw new SysError(errno(), syscall, printable(path));
  return result;
}

/**
 * Runs a system call that changes state. Fault-injection builds can make the call fail, or kill or stop the process
 * around it; the build removes both hooks from the shipped program.
 */
export function mutate(syscall: string, path: PathBytes, call: () => number): number {
  faultBefore(syscall, path);
  const result = check(call(), syscall, path);
  faultAfter();
  return result;
}
