/**
 * A file that is an archive, plain or compressed as a whole, as the bytes of its tar. A compressed one cannot be read from
 * the middle, so its members are read in passes from the start, and nothing of it is kept on disk.
 */
import { PluginError } from '../../base/errors/error.ts';
import { Budget } from '../../layer/tree/budget.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';
import { Blob, type ChunkSource } from '../../layer/unpack/blob.ts';
import { openTar } from '../../layer/unpack/decompress.ts';
import { FileSource } from '../../layer/unpack/file-source.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { readUpTo } from '../../sys/kernel/read.ts';
import { statFollowing } from '../../sys/kernel/stat.ts';
import { inflate, type ProgramFormat, programFormat } from './decompressor.ts';
import type { LayerBytes } from './source.ts';

/** A part of the tar. */
export interface Part {
  readonly at: number;
  readonly size: number;
}

/** The longest magic number. */
const MAGIC_BYTES = 6;

/** How a file is compressed. `auto`: gzip, zstd or not at all, by its first bytes. */
export type FileFormat = ProgramFormat | 'packed' | 'plain';

/** The format of a file by its first bytes. @throws SysError of open(2) and read(2) */
export function fileFormat(path: string): FileFormat {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NONBLOCK | O.NOCTTY);
  try {
    const first = readUpTo(fd, MAGIC_BYTES, path);
    const isGzip = first[0] === 0x1f && first[1] === 0x8b;
    const isZstd = (first[0] ?? 0) === 0x28 && first[1] === 0xb5 && first[2] === 0x2f && first[3] === 0xfd;
    // pzstd starts with a skippable frame (RFC 8878, 3.1.2).
    const isSkippable =
      ((first[0] ?? 0) & 0xf0) === 0x50 && first[1] === 0x2a && first[2] === 0x4d && first[3] === 0x18;
    return programFormat(first) ?? (isGzip || isZstd || isSkippable ? 'packed' : 'plain');
  } finally {
    close(fd);
  }
}

/** How an archive is read. */
export interface ArchiveLimits {
  /** Where xz and bzip2 are looked for, as in PATH. */
  readonly programs: string;
  /** For the archive as a whole, as for a layer. */
  readonly budget: LayerBudget;
}

export class PackedFile {
  readonly path: string;
  readonly format: FileFormat;
  readonly #programs: string;
  readonly #budget: LayerBudget;
  readonly #passes: Passes;

  /** @throws SysError */
  constructor(path: string, { programs, budget }: ArchiveLimits) {
    this.path = path;
    this.#programs = programs;
    this.#budget = budget;
    this.format = fileFormat(path);
    this.#passes = new Passes(() => this.tar());
  }

  /**
   * All bytes of the tar, as many as one layer may have.
   * @throws LAYER_BAD_COMPRESSION, LAYER_TRUNCATED, LAYER_TOO_LARGE, IMAGE_NEEDS_PROGRAM, SysError
   */
  async *tar(): AsyncGenerator<Uint8Array> {
    const limits = new Budget(this.#budget, undefined);
    limits.compressed(statFollowing(this.path).size);
    for await (const chunk of this.#inflated()) {
      limits.uncompressed(chunk.length);
      yield chunk;
    }
  }

  async *#inflated(): AsyncGenerator<Uint8Array> {
    if (this.format === 'xz' || this.format === 'bzip2') {
      yield* inflate(this.path, this.format, this.#programs);
      return;
    }
    const file = new FileSource(this.path);
    try {
      yield* (await openTar('auto', asBlob(file), async () => undefined)).chunks;
    } finally {
      file.close();
    }
  }

  /** The bytes of a member. Several members may be open at a time. */
  open({ at, size }: Part, signal: AbortSignal): LayerBytes {
    if (this.format === 'plain') return { kind: 'file', path: this.path, size, at };
    return { kind: 'stream', chunks: this.#passes.read({ at, size }, signal), size };
  }

  async close(): Promise<void> {
    await this.#passes.close();
  }
}

function asBlob(source: ChunkSource): Blob {
  return new Blob(source, { digest: undefined, size: undefined }, () => undefined);
}

/**
 * Reads of a compressed archive. Reads run one after the other; of those that wait, the pass that is running takes the one that it
 * reaches first. Members that are asked for in the order of the archive take one pass for all of them.
 */
class Passes {
  readonly #start: () => AsyncGenerator<Uint8Array>;
  readonly #waiting: { readonly at: number; readonly begin: () => void }[] = [];
  #isRunning = false;
  #chunks: AsyncGenerator<Uint8Array> | undefined;
  /** The offset in the tar of the next byte. */
  #at = 0;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(start: () => AsyncGenerator<Uint8Array>) {
    this.#start = start;
  }

  /** @throws LAYER_TRUNCATED where the archive ends first, and as `PackedFile.tar` */
  async *read({ at, size }: Part, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.#turn(at);
    try {
      signal.throwIfAborted();
      if (this.#chunks === undefined || this.#at > at) await this.#restart();
      while (this.#at < at) {
        await this.#next(at - this.#at);
        signal.throwIfAborted();
      }
      for (let left = size; left > 0; ) {
        const chunk = await this.#next(left);
        left -= chunk.length;
        yield chunk;
        signal.throwIfAborted();
      }
    } catch (error) {
      // The state of a pass that failed is unknown.
      await this.close();
      throw error;
    } finally {
      this.#isRunning = false;
      this.#beginNext();
    }
  }

  async close(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    await chunks?.return(undefined);
  }

  #turn(at: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ at, begin: resolve });
    // Reads that are asked for in the same turn of the event loop are compared with each other.
    queueMicrotask(() => this.#beginNext());
    return promise;
  }

  #beginNext(): void {
    if (this.#isRunning || this.#waiting.length === 0) return;
    const sorted = this.#waiting.sort((one, other) => one.at - other.at);
    const ahead = sorted.findIndex(({ at }) => at >= this.#at);
    const [next] = sorted.splice(Math.max(0, ahead), 1);
    this.#isRunning = true;
    next?.begin();
  }

  async #restart(): Promise<void> {
    await this.close();
    this.#chunks = this.#start();
    this.#at = 0;
    this.#rest = new Uint8Array(0);
  }

  /** The next bytes, at most `most` of them. */
  async #next(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const chunk = await this.#chunks?.next();
      if (chunk === undefined || chunk.done === true)
        throw new PluginError('LAYER_TRUNCATED', { reason: 'the archive ends before it' });
      this.#rest = chunk.value;
    }
    const bytes = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(bytes.length);
    this.#at += bytes.length;
    return bytes;
  }
}
