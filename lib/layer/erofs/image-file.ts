/** The file that an image is written to: bytes follow each other, zeros become holes, and few places are changed at the end. */
import { KiB } from '../../base/limits.ts';
import { close, ftruncate, openAt, skip, writeAll } from '../../sys/kernel/files.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { BLOCK } from './format.ts';
import { type HashedFile, ImageHash, PORTION } from './image-hash.ts';

/** A hole costs a write(2) of what is held before it, so shorter runs of zeros are written. */
const MIN_HOLE = 64 * KiB;
const ZEROS = new Uint8Array(BLOCK);

export class ImageFile implements Disposable {
  readonly path: string;
  readonly #fd: number;
  /** Bytes of the portion that is written next, from `#before` on; one write(2) takes them. */
  readonly #held = new Uint8Array(PORTION);
  readonly #hash = new ImageHash();
  #used = 0;
  #holes = 0;
  #isOpen = true;
  /** Bytes of the file before those that are held. */
  #before = 0;

  /** @param path must not exist. @throws SysError */
  constructor(path: string, mode: number) {
    this.path = path;
    this.#fd = openAt(AT_FDCWD, path, O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW, mode);
  }

  /** Where the next byte goes. */
  get offset(): number {
    return this.#before + this.#used;
  }

  /** Bytes of the file that take disk. */
  get diskBytes(): number {
    return this.offset - this.#holes;
  }

  /** @throws SysError ENOSPC and others, as all that follow */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.#room();
      const part = at === 0 && bytes.length <= room ? bytes : bytes.subarray(at, at + room);
      this.#held.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (part.length === room) this.#flush();
    }
  }

  /** Bytes up to the end of the portion. */
  #room(): number {
    return PORTION - (this.#before % PORTION) - this.#used;
  }

  /** Appends zeros; whole blocks of a long run become a hole, which takes no disk. */
  zeros(length: number): void {
    let left = length;
    if (left >= MIN_HOLE) {
      left -= this.#fill(left, (BLOCK - (this.offset % BLOCK)) % BLOCK);
      const hole = left - (left % BLOCK);
      this.#flush();
      skip(this.#fd, hole);
      this.#noteHole(hole);
      left -= hole;
    }
    while (left > 0) left -= this.#fill(left, BLOCK);
  }

  #fill(left: number, most: number): number {
    const length = Math.min(left, most);
    this.append(ZEROS.subarray(0, length));
    return length;
  }

  #noteHole(length: number): void {
    const end = this.#before + length;
    for (let portion = Math.ceil(this.#before / PORTION); (portion + 1) * PORTION <= end; portion += 1)
      this.#hash.hole(portion);
    this.#before = end;
    this.#holes += length;
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
    this.#hash.forget(at, bytes.length);
  }

  /** The size and the hash of the whole file. Only after `end` and all patches. */
  hashed(): HashedFile {
    const bytes = this.#before;
    return { bytes, hash: this.#hash.finish(this.#fd, bytes, this.path) };
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) close(this.#fd);
    this.#isOpen = false;
  }

  #flush(): void {
    if (this.#used === 0) return;
    const held = this.#held.subarray(0, this.#used);
    writeAll(this.#fd, held, this.path);
    if (this.#used === PORTION) this.#hash.set(this.#before / PORTION, held);
    this.#before += this.#used;
    this.#used = 0;
  }
}
