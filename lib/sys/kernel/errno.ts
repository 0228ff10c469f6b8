/** Names of the error numbers that graft meets. They are the same on x86-64 and arm64 (asm-generic/errno*.h). */
const NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  3: 'ESRCH',
  4: 'EINTR',
  5: 'EIO',
  6: 'ENXIO',
  7: 'E2BIG',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  15: 'ENOTBLK',
  16: 'EBUSY',
  17: 'EEXIST',
  18: 'EXDEV',
  19: 'ENODEV',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  25: 'ENOTTY',
  26: 'ETXTBSY',
  27: 'EFBIG',
  28: 'ENOSPC',
  30: 'EROFS',
  31: 'EMLINK',
  32: 'EPIPE',
  34: 'ERANGE',
  36: 'ENAMETOOLONG',
  38: 'ENOSYS',
  39: 'ENOTEMPTY',
  40: 'ELOOP',
  61: 'ENODATA',
  75: 'EOVERFLOW',
  95: 'EOPNOTSUPP',
  101: 'ENETUNREACH',
  107: 'ENOTCONN',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  112: 'EHOSTDOWN',
  113: 'EHOSTUNREACH',
  116: 'ESTALE',
  117: 'EUCLEAN',
  122: 'EDQUOT',
};

const MEANINGS: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted',
  ENOENT: 'no such file or directory',
  EIO: 'input/output error',
  E2BIG: 'argument list too long',
  EACCES: 'permission denied',
  EBUSY: 'device or resource busy',
  EEXIST: 'file exists',
  EXDEV: 'invalid cross-device link',
  ENODEV: 'no such device',
  ENOTDIR: 'not a directory',
  EISDIR: 'is a directory',
  EINVAL: 'invalid argument',
  ENFILE: 'too many open files in system',
  EMFILE: 'too many open files',
  EFBIG: 'file too large',
  ENOSPC: 'no space left on device',
  EROFS: 'read-only file system',
  ENAMETOOLONG: 'file name too long',
  ENOSYS: 'function not implemented',
  ENOTEMPTY: 'directory not empty',
  ELOOP: 'too many levels of symbolic links',
  ENODATA: 'no data available',
  EOPNOTSUPP: 'operation not supported',
  EPIPE: 'broken pipe',
  ENETUNREACH: 'network is unreachable',
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENOTCONN: 'transport endpoint is not connected',
  ETIMEDOUT: 'connection timed out',
  ESTALE: 'stale file handle',
  EUCLEAN: 'structure needs cleaning',
  EDQUOT: 'disk quota exceeded',
  ENOMEM: 'cannot allocate memory',
  EMLINK: 'too many links',
};

function errnoName(errno: number): string {
  return NAMES[errno] ?? `E${errno}`;
}

/** The meaning of the errno in the words of strerror(3), for sentences. */
export function errnoMeaning(code: string): string {
  return MEANINGS[code] ?? code;
}

/** A system call failed. `code` is the errno's name, as in errors of node:fs, so that `hasCode` matches both. */
export class SysError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  readonly path: string;
  readonly detail: string;

  /** @param detail the kernel's own message, where there is one (the log of a mount context) */
  constructor(errno: number, syscall: string, path: string, detail = '') {
    const code = errnoName(errno);
    super(`${syscall} ${path}: ${errnoMeaning(code)}${detail === '' ? '' : ` (${detail})`}`);
    this.name = 'SysError';
    this.errno = errno;
    this.code = code;
    this.syscall = syscall;
    this.path = path;
    this.detail = detail;
  }
}

/** True for a SysError or a node:fs error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && codes.includes(code);
}
