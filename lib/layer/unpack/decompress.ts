/** Decompresses a blob's bytes to the tar's bytes, a few chunks at a time. */
import type { Transform } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { PluginError } from '../../base/errors/error.ts';
import { KiB, MiB } from '../../base/limits.ts';
import { oneLine } from '../../base/text.ts';
import { BLOCK, checksumHolds } from '../tar/fields.ts';
import { foreignFormat } from '../tar/foreign-format.ts';
import type { BlobCompression } from '../tree/types.ts';
import type { Blob } from './blob.ts';
import { isFrameMagic, ZstdFrames } from './zstd-frames.ts';

const CHUNK = 256 * KiB;
/** How many bytes the decompressor, which works in its own thread, may be ahead of the writer. */
const AHEAD = MiB;
const MAGIC_BYTES = 4;
/** log2 of MAX_WINDOW in zstd-frames.ts: the decoder itself refuses larger windows. */
const WINDOW_LOG_MAX = 27;
/** Layers with larger windows are decoded one at a time, since all layers share one memory budget. */
const LARGE_WINDOW = 8 * MiB;

/** Waits until this layer may decode with a large window. */
export type LargeWindowGate = () => Promise<void>;

export interface TarStream {
  /** True when the blob is the tar itself, so that one digest is both. */
  readonly plain: boolean;
  /** @throws PluginError LAYER_BAD_COMPRESSION, LAYER_TRUNCATED, LAYER_TOO_LARGE, and what the blob throws */
  readonly chunks: AsyncGenerator<Uint8Array>;
}

/**
 * Recognises the compression by the blob's first bytes.
 * @throws PluginError LAYER_TRUNCATED for an empty blob, unless `compression` is `none`
 */
export async function openTar(
  compression: BlobCompression,
  blob: Blob,
  largeWindow: LargeWindowGate,
): Promise<TarStream> {
  const first = await magicBytes(blob);
  const packed = compression === 'auto' ? detect(first) : compression;
  // With `auto`, an empty blob may be the result of a failed download, so it is refused.
  if (first.length === 0 && compression !== 'none') throw empty();
  if (packed !== 'none' && detect(first) !== packed) throw notPacked(packed, first);
  const chunks = startingWith(first, blob);
  switch (packed) {
    case 'gzip':
      return { plain: false, chunks: gunzip(chunks, blob) };
    case 'zstd':
      return { plain: false, chunks: unzstd(chunks, largeWindow) };
    default:
      return { plain: true, chunks };
  }
}

/** The first chunk, with as many bytes of the next ones as the longest magic number needs. */
async function magicBytes(blob: Blob): Promise<Uint8Array> {
  let first: Uint8Array = (await blob.next()) ?? new Uint8Array(0);
  while (first.length < MAGIC_BYTES) {
    const next = await blob.next();
    if (next === undefined) break;
    first = Buffer.concat([first, next]);
  }
  return first;
}

/**
 * The compression by magic bytes (RFC 1952, RFC 8878). Anything else must be a tar, whose headers have checksums. A
 * stream of zstd may begin with skippable frames: pzstd writes the size of the following frame into one.
 */
function detect(first: Uint8Array): 'gzip' | 'zstd' | 'none' {
  if (first[0] === 0x1f && first[1] === 0x8b) return 'gzip';
  const magic = first.length < MAGIC_BYTES ? 0 : Buffer.from(first.subarray(0, MAGIC_BYTES)).readUInt32LE();
  return isFrameMagic(magic) ? 'zstd' : 'none';
}

function notPacked(kind: 'gzip' | 'zstd', first: Uint8Array): PluginError {
  const isTar = first.length >= BLOCK && checksumHolds(Buffer.from(first.subarray(0, BLOCK)));
  const found = isTar ? 'a plain tar' : foreignFormat(first);
  const reason = found === undefined ? `the data does not begin as ${kind} does` : `the data is ${found}`;
  return new PluginError('LAYER_BAD_COMPRESSION', { kind, reason });
}

export function empty(): PluginError {
  return truncated('it is empty');
}

async function* startingWith(first: Uint8Array, blob: Blob): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  for (let chunk = await blob.next(); chunk !== undefined; chunk = await blob.next()) yield chunk;
}

/**
 * Decompresses all gzip members (RFC 1952). After the last member only zeros may follow, as tape drives and some
 * registries add them.
 */
async function* gunzip(chunks: AsyncGenerator<Uint8Array>, blob: Blob): AsyncGenerator<Uint8Array> {
  const transform = createGunzip({ chunkSize: CHUNK });
  yield* through('gzip', transform, chunks);
  // zlib stops at the first zero after a member and ignores the rest, so the rest is checked here.
  if (blob.lastNonZero >= transform.bytesWritten) {
    throw new PluginError('LAYER_BAD_COMPRESSION', {
      kind: 'gzip',
      reason: 'something follows the last member',
    });
  }
}

async function* unzstd(
  chunks: AsyncGenerator<Uint8Array>,
  gate: LargeWindowGate,
): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  const params = { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX };
  yield* through('zstd', createZstdDecompress({ chunkSize: CHUNK, params }), looked());

  async function* looked(): AsyncGenerator<Uint8Array> {
    let large = false;
    for await (const chunk of chunks) {
      frames.push(chunk);
      if (!large && frames.largestWindow > LARGE_WINDOW) {
        large = true;
        await gate();
      }
      yield chunk;
    }
    frames.end();
  }
}

/**
 * Feeds and empties the decompressor at the same time, so that it works while its last output is being written. Output
 * is queued as it arrives: reading it through the stream's own buffer would copy chunks together.
 */
async function* through(
  kind: string,
  transform: Transform,
  chunks: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const queue: Uint8Array[] = [];
  let queued = 0;
  let state: 'running' | 'ended' | { readonly error: unknown } = 'running';
  let wake = (): void => {};
  transform.on('data', (chunk: Uint8Array) => {
    queue.push(chunk);
    queued += chunk.length;
    if (queued >= AHEAD) transform.pause();
    wake();
  });
  transform.on('end', () => {
    state = 'ended';
    wake();
  });
  const fail = (error: unknown): void => {
    if (state === 'running') state = { error };
    wake();
  };
  transform.on('error', (error) => fail(asLayerError(kind, error)));
  feed(transform, chunks).catch(fail);
  try {
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) {
        queued -= chunk.length;
        if (queued < AHEAD) transform.resume();
        yield chunk;
      } else if (state === 'running') {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else break;
    }
    if (typeof state === 'object') throw (state as { error: unknown }).error;
  } finally {
    transform.destroy();
  }
}

/** Returns without an error when the decompressor is destroyed. */
async function feed(transform: Transform, chunks: AsyncGenerator<Uint8Array>): Promise<void> {
  let emptied = (): void => {};
  transform.on('drain', () => emptied());
  transform.on('close', () => emptied());
  for await (const chunk of chunks) {
    if (transform.destroyed) return;
    if (transform.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      emptied = resolve;
    });
  }
  if (!transform.destroyed) transform.end();
}

function asLayerError(kind: string, error: unknown): PluginError {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'Z_BUF_ERROR') return truncated(`the ${kind} data ends too early`, error);
  const reason = oneLine(message ?? String(error));
  return new PluginError('LAYER_BAD_COMPRESSION', { kind, reason }, { cause: error });
}

function truncated(reason: string, cause?: unknown): PluginError {
  return new PluginError('LAYER_TRUNCATED', { reason }, { cause });
}
