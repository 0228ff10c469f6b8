/** Compresses an archive with gzip while it is read, and computes both digests on the way. */
import { createGzip } from 'node:zlib';
import type { DiffId, Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { paddingOf } from '../../layer/tar/write-header.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';
import { bytesOfContent, type Piece } from './content.ts';

const PORTION = MiB;
/** The level that gzip(1) has, too: a higher one takes twice the time for a few per cent. */
const LEVEL = 6;

export interface PackedLayer {
  readonly digest: Digest;
  readonly diffId: DiffId;
  /** Bytes of the blob. */
  readonly size: number;
  readonly tarBytes: number;
}

/**
 * Writes the blob of a layer to `sink`, portion by portion; no portion is used again after `sink` has returned. The same
 * pieces give the same bytes.
 * @param budget the limits with which graft itself would unpack the layer
 * @throws COMMIT_TOO_LARGE, and what `pieces` and `sink` throw
 */
export async function packLayer(
  pieces: Iterable<Piece>,
  sink: (bytes: Uint8Array) => Promise<void> | void,
  budget: LayerBudget,
  signal: AbortSignal,
): Promise<PackedLayer> {
  const tar = new Bun.CryptoHasher('sha256');
  const blob = new Bun.CryptoHasher('sha256');
  let [size, tarBytes] = [0, 0];
  const gzip = new Gzip(async (bytes) => {
    blob.update(bytes);
    size += bytes.length;
    await sink(bytes);
  });
  try {
    for (const portion of portions(pieces)) {
      signal.throwIfAborted();
      tarBytes += portion.length;
      requireWithin(budget, tarBytes, size);
      tar.update(portion);
      await gzip.write(portion);
    }
    await gzip.end();
  } catch (error) {
    throw await gzip.fail(error);
  }
  requireWithin(budget, tarBytes, size);
  return {
    digest: `sha256:${blob.digest('hex')}` as Digest,
    diffId: `sha256:${tar.digest('hex')}` as DiffId,
    size,
    tarBytes,
  };
}

/** gzip packs zeros 1029:1, and may be a few portions behind, so the ratio is only compared for large archives. */
function requireWithin({ tarBytes, ratio, ratioFloor }: LayerBudget, bytes: number, packed: number): void {
  if (bytes > tarBytes) throw new PluginError('COMMIT_TOO_LARGE', { what: 'bytes', limit: tarBytes });
  if (bytes > ratioFloor && bytes > ratio * packed)
    throw new PluginError('COMMIT_TOO_LARGE', { what: 'bytes for each compressed byte', limit: ratio });
}

/** The archive in portions of a megabyte. Two buffers take turns, so that one is read while the other is compressed. */
function* portions(pieces: Iterable<Piece>): Generator<Uint8Array> {
  const buffers = [Buffer.alloc(PORTION), Buffer.alloc(PORTION)] as const;
  let [turn, used]: [0 | 1, number] = [0, 0];
  const room = () => buffers[turn].subarray(used);
  const full = function* (): Generator<Uint8Array> {
    if (used < PORTION) return;
    yield buffers[turn];
    [turn, used] = [turn === 0 ? 1 : 0, 0];
  };
  const put = function* (bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PORTION - used);
      buffers[turn].set(part, used);
      used += part.length;
      at += part.length;
      yield* full();
    }
  };
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) {
      yield* put(piece);
      continue;
    }
    for (const got of bytesOfContent(piece, room)) {
      used += got;
      yield* full();
    }
    yield* put(new Uint8Array(paddingOf(piece.size)));
  }
  if (used > 0) yield buffers[turn].subarray(0, used);
}

/** A gzip stream that compresses in another thread, at most one portion ahead. */
class Gzip {
  readonly #stream = createGzip({ level: LEVEL });
  readonly #output: Promise<void>;
  #writing: Promise<void> = Promise.resolve();

  constructor(take: (bytes: Uint8Array) => Promise<void>) {
    this.#output = this.#run(take);
    // `end` and `fail` report the failure; without this line it would end the process first.
    this.#output.catch(() => undefined);
  }

  /** Resolves when the earlier portion is compressed, so that its buffer is free. */
  async write(portion: Uint8Array): Promise<void> {
    await this.#writing;
    this.#writing = new Promise((resolve, reject) => {
      this.#stream.write(portion, (error) => (error ? reject(error) : resolve()));
    });
    this.#writing.catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.#writing;
    this.#stream.end();
    await this.#output;
  }

  /** Ends the stream. Returns the error of the output, where that was the first one, else the given error. */
  async fail(error: unknown): Promise<unknown> {
    this.#stream.destroy();
    return this.#failed ?? error;
  }

  #failed: unknown;

  async #run(take: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    for await (const chunk of this.#stream) {
      try {
        await take(chunk as Uint8Array);
      } catch (error) {
        this.#failed = error;
        throw error;
      }
    }
  }
}
