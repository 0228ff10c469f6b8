/** The file that an image is written to: bytes follow each other, zeros become holes, and few places are changed at the end. */
import { KiB, MiB } from '../../base/limits.ts';
import { close, ftruncate, openAt, skip, writeAll } from '../../sys/kernel/files.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { BLOCK } from './format.ts';

/** Bytes of one write(2), a multiple of BLOCK. */
const PORTION = 1 * MiB;
/** A hole costs a write(2) of what is held before it, so shorter runs of zeros are written. */
const MIN_HOLE = 64 * KiB;
const ZEROS = new Uint8Array(BLOCK);

export class ImageFile implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #held = new Uint8Array(PORTION);
  #used = 0;
  #isOpen = true;
  /** Bytes of the file before those that are held. */
  #before = 0;

  /** @param path must not exist. @throws SysError */
  constructor(path: string, mode: number) {
    this.path = path;
    this.#fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode);
  }

  /** Where the next byte goes. */
  get offset(): number {
    return this.#before + this.#used;
  }

  /** @throws SysError ENOSPC and others, as all that follow */
  append(bytes: Uint8Array): void {
    if (bytes.length > PORTION - this.#used) this.#flush();
    if (bytes.length >= PORTION) {
      writeAll(this.#fd, bytes, this.path);
      this.#before += bytes.length;
      return;
    }
    this.#held.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Appends zeros; whole blocks of a long run become a hole, which takes no disk. */
  zeros(length: number): void {
    let left = length;
    if (left >= MIN_HOLE) {
      left -= this.#fill(left, (BLOCK - (this.offset % BLOCK)) % BLOCK);
      const hole = left - (left % BLOCK);
      this.#flush();
      skip(this.#fd, hole);
      this.#before += hole;
      left -= hole;
    }
    while (left > 0) left -= this.#fill(left, BLOCK);
  }

  #fill(left: number, most: number): number {
    const length = Math.min(left, most);
    this.append(ZEROS.subarray(0, length));
    return length;
  }

  /** Appends zeros up to the next block. */
  pad(): void {
    this.zeros((BLOCK - (this.offset % BLOCK)) % BLOCK);
  }

  /** Writes what is held. A hole at the end counts as part of the file. */
  end(): void {
    this.#flush();
    ftruncate(this.#fd, this.#before, this.path);
  }

  /** Replaces bytes that are written. Only after `end`. */
  patch(at: number, bytes: Uint8Array): void {
    moveTo(this.#fd, at, this.path);
    writeAll(this.#fd, bytes, this.path);
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) close(this.#fd);
    this.#isOpen = false;
  }

  #flush(): void {
    if (this.#used === 0) return;
    writeAll(this.#fd, this.#held.subarray(0, this.#used), this.path);
    this.#before += this.#used;
    this.#used = 0;
  }
}
