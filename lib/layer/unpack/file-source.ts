import { KiB } from '../../base/limits.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import { AT_FDCWD, check, libc, O } from '../../sys/kernel/libc.ts';
import type { ChunkSource } from './blob.ts';

/** So large that a read costs little compared with the work on its bytes. */
const CHUNK = 256 * KiB;

/** The part of a file that is a blob: a member of an archive that is not compressed. */
export interface FilePart {
  readonly at: number;
  readonly size: number;
}

/** The part of the file that `bytes` are; undefined: they are the whole file. */
export function partOf({
  at,
  size,
}: {
  readonly at?: number | undefined;
  readonly size: number;
}): FilePart | undefined {
  return at === undefined ? undefined : { at, size };
}

/** A blob in a local file, read by the thread that unpacks it. */
export class FileSource implements ChunkSource {
  readonly #path: string;
  readonly #fd: number;
  #left: number;
  #closed = false;

  /** @param part undefined: the whole file */
  constructor(path: string, part?: FilePart) {
    this.#path = path;
    this.#fd = openAt(AT_FDCWD, path, O.RDONLY);
    this.#left = part?.size ?? Number.POSITIVE_INFINITY;
    if (part !== undefined) moveTo(this.#fd, part.at, path);
  }

  next(): Promise<Uint8Array | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    // A new buffer for each chunk: the decompressor may still be reading the last one.
    const chunk = Buffer.allocUnsafeSlow(CHUNK);
    const most = Math.min(chunk.length, this.#left);
    const length = check(Number(libc.read(this.#fd, chunk, most)), 'read', this.#path);
    this.#left -= length;
    return Promise.resolve(length === 0 ? undefined : chunk.subarray(0, length));
  }

  close(): void {
    if (!this.#closed) close(this.#fd);
    this.#closed = true;
  }
}
