/**
 * The hash of an image's file, since EROFS has no checksums behind its first block. Each portion of the file has a hash of its
 * own and the file the hash of these: so a portion that changes after it was written is read again alone, and one that is a
 * hole is not read.
 */
import { MiB } from '../../base/limits.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { eachDataRegion, moveTo } from '../../sys/kernel/holes.ts';
import { AT_FDCWD, check, libc, O } from '../../sys/kernel/libc.ts';
import { statFd } from '../../sys/kernel/stat.ts';

/** Bytes of a portion, each of which begins at a multiple of it. */
export const PORTION = 1 * MiB;
/** An image has no portion with this hash by accident: 2^-64. */
const UNKNOWN = 0n;

export class ImageHash {
  /** The hash of each portion; grows by doubling. */
  #portions = new BigUint64Array(1024);

  /** Notes the bytes of a portion: all of it, or its beginning where the file ends in it. */
  set(portion: number, bytes: Uint8Array): void {
    this.#reserve(portion);
    this.#portions[portion] = Bun.hash.xxHash64(bytes);
  }

  /** Notes a portion that is a hole from its beginning to its end. */
  hole(portion: number): void {
    this.#reserve(portion);
    zeros ??= Bun.hash.xxHash64(new Uint8Array(PORTION));
    this.#portions[portion] = zeros;
  }

  /** The bytes changed since; they are read at the end. */
  forget(offset: number, length: number): void {
    for (let portion = portionOf(offset); portion <= portionOf(offset + length - 1); portion += 1) {
      this.#reserve(portion);
      this.#portions[portion] = UNKNOWN;
    }
  }

  /** Reads the portions that are not known. @param size of the file. @returns the hash in hexadecimal */
  finish(fd: number, size: number, path: string): string {
    const count = Math.ceil(size / PORTION);
    if (count > 0) this.#reserve(count - 1);
    let buffer: Uint8Array | undefined;
    for (let portion = 0; portion < count; portion += 1) {
      if (this.#portions[portion] !== UNKNOWN) continue;
      buffer ??= new Uint8Array(PORTION);
      moveTo(fd, portion * PORTION, path);
      this.set(portion, buffer.subarray(0, readUpTo(fd, buffer, path)));
    }
    const all = new Uint8Array(this.#portions.buffer, 0, count * BigUint64Array.BYTES_PER_ELEMENT);
    return Bun.hash.xxHash64(all, BigInt(size)).toString(16).padStart(16, '0');
  }

  #reserve(portion: number): void {
    if (portion < this.#portions.length) return;
    const larger = new BigUint64Array(Math.max(this.#portions.length * 2, portion + 1));
    larger.set(this.#portions);
    this.#portions = larger;
  }
}

/** Made when it is needed: few images have a hole of a whole portion. */
let zeros: bigint | undefined;

function portionOf(offset: number): number {
  return Math.floor(offset / PORTION);
}

/** @returns the number of bytes, less than the buffer has only at the end of the file */
function readUpTo(fd: number, buffer: Uint8Array, path: string): number {
  let have = 0;
  while (have < buffer.length) {
    const got = check(Number(libc.read(fd, buffer.subarray(have), buffer.length - have)), 'read', path);
    if (got === 0) break;
    have += got;
  }
  return have;
}

export interface HashedFile {
  readonly bytes: number;
  readonly hash: string;
}

/** The size and the hash of a file; its holes are not read. @throws SysError */
export function hashImage(path: string): HashedFile {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NOFOLLOW);
  try {
    const { size } = statFd(fd);
    const hash = new ImageHash();
    let next = 0;
    for (const [offset, length] of eachDataRegion(fd, size, path)) {
      for (; next < portionOf(offset); next += 1) hash.hole(next);
      next = Math.max(next, portionOf(offset + length - 1) + 1);
    }
    for (; (next + 1) * PORTION <= size; next += 1) hash.hole(next);
    return { bytes: size, hash: hash.finish(fd, size, path) };
  } finally {
    close(fd);
  }
}
