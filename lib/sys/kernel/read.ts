/**
 * Small files, read through libc. `node:fs` costs 0.9 ms at its first use (measured: a third of an empty program's
 * whole CPU time). Garden calls the short verbs thousands of times, so they avoid it.
 */
import { SysError } from './errno.ts';
import { close, openAt } from './files.ts';
import { AT_FDCWD, check, libc, O } from './libc.ts';

/**
 * Size of the first buffer. Nearly all of these files are smaller, and a larger buffer costs time to clear: 16 KiB cost
 * a warm verb 2 % (measured).
 */
const FIRST_READ = 4 * 1024;
const EFBIG = 27;

/** The whole file, also for pipes and /proc. @param limit in bytes. @throws SysError, EFBIG above the limit */
export function readFile(path: string, limit: number): Uint8Array {
  const fd = openAt(AT_FDCWD, path, O.RDONLY);
  try {
    return readToEnd(fd, limit, path);
  } finally {
    close(fd);
  }
}

/**
 * As `readFile`, for a file that only graft makes. A symbolic link in its place is ELOOP, and opening a pipe does not
 * wait for a writer. @throws SysError, EFBIG above the limit
 */
export function readOwnFile(path: string, limit: number): Uint8Array {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    return readToEnd(fd, limit, path);
  } finally {
    close(fd);
  }
}

/** Reads an open file, pipe or socket to its end. Errors as in `readFile`; `path` is for them. */
export function readToEnd(fd: number, limit: number, path: string): Uint8Array {
  let buffer = new Uint8Array(FIRST_READ);
  for (let length = 0; ; ) {
    const free = length === 0 ? buffer : buffer.subarray(length);
    const got = check(Number(libc.read(fd, free, free.length)), 'read', path);
    if (got === 0) return buffer.subarray(0, length);
    length += got;
    if (length > limit) throw new SysError(EFBIG, 'read', path);
    if (length === buffer.length) buffer = grown(buffer, limit);
  }
}

/** Reads an open file from its current offset, at most `limit` bytes. @throws SysError */
export function readUpTo(fd: number, limit: number, path: string): Uint8Array {
  const buffer = new Uint8Array(limit);
  for (let length = 0; ; ) {
    const got = check(Number(libc.read(fd, buffer.subarray(length), limit - length)), 'read', path);
    length += got;
    if (got === 0 || length === limit) return buffer.subarray(0, length);
  }
}

/** The bytes up to the first newline, without it, or to the end; byte by byte, so that the rest is left. @throws SysError */
export function readLine(fd: number, limit: number, path: string): Uint8Array {
  const line = new Uint8Array(limit);
  for (let length = 0; length < limit; length += 1) {
    const got = check(Number(libc.read(fd, line.subarray(length), 1)), 'read', path);
    if (got === 0 || line[length] === NEWLINE) return line.subarray(0, length);
  }
  return line;
}

const NEWLINE = 0x0a;

/** The file as UTF-8. Bytes that are not UTF-8 become U+FFFD. */
export function readText(path: string, limit: number): string {
  return new TextDecoder().decode(readFile(path, limit));
}

/** A larger buffer, of at most the limit and one byte more: that byte is enough to see that the file is too large. */
function grown(full: Uint8Array, limit: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(full.length + 1, Math.min(full.length * 4, limit + 1)));
  larger.set(full);
  return larger;
}
