import { KiB } from '../../base/limits.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, check, libc, O } from '../../sys/kernel/libc.ts';
import type { ChunkSource } from './blob.ts';

/** So large that a read costs little compared with the work on its bytes. */
const CHUNK = 256 * KiB;

/** A blob in a local file, read by the thread that unpacks it. */
export class FileSource implements ChunkSource {
  readonly #path: string;
  readonly #fd: number;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openAt(AT_FDCWD, path, O.RDONLY);
  }

  next(): Promise<Uint8Array | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    // A new buffer for each chunk: the decompressor may still be reading the last one.
    const chunk = Buffer.allocUnsafeSlow(CHUNK);
    const length = check(Number(libc.read(this.#fd, chunk, chunk.length)), 'read', this.#path);
    return Promise.resolve(length === 0 ? undefined : chunk.subarray(0, length));
  }

  close(): void {
    if (!this.#closed) close(this.#fd);
    this.#closed = true;
  }
}
