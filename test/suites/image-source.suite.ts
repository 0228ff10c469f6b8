/** What every ImageSource must do, wherever its images come from (the interface's own prose, as tests). */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { hexOf, sha256Hex } from '../../lib/base/digest.ts';
import { PluginError } from '../../lib/base/errors/error.ts';
import {
  blobOfLayer,
  expectedFacts,
  type ImageLayer,
  sourceIdentity,
} from '../../lib/image/source/image-layer.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from '../../lib/image/source/source.ts';

export interface SourceUnderTest {
  /** A new source of the same image, as another create would make it. */
  create(): ImageSource;
  /** A source of an image that does not exist. */
  createMissing(): ImageSource;
  /** Each layer's blob, bottom first. One that is streamed should have 8 MiB, more than sockets hold. */
  readonly blobs: readonly Uint8Array[];
  dispose(): Promise<void>;
}

const NEVER = new AbortController().signal;
/** Longest wait for something that has been stopped to stop. */
const STOP_MS = 5000;

export function imageSourceSuite(name: string, setUp: () => Promise<SourceUnderTest>): void {
  describe(`${name} is an ImageSource`, () => {
    let under: SourceUnderTest;
    beforeAll(async () => {
      under = await setUp();
    });
    afterAll(async () => {
      await under.dispose();
    });

    async function withImage(
      use: (source: ImageSource, image: ResolvedImage) => Promise<void>,
    ): Promise<void> {
      const source = under.create();
      try {
        await use(source, await source.resolve(NEVER));
      } finally {
        await source.close();
      }
    }

    test('resolve gives the layers bottom first, each with what is known of it', () =>
      withImage(async (_source, image) => {
        expect(image.layers.length).toBe(under.blobs.length);
        for (const [at, layer] of image.layers.entries()) {
          const blob = under.blobs[at] ?? new Uint8Array();
          const { digest, size } = expectedFacts(layer);
          if (digest !== undefined) expect(hexOf(digest)).toBe(sha256Hex(blob));
          if (size !== undefined) expect(size).toBe(blob.length);
          // A layer without a name could never be found again.
          expect(blobOfLayer(layer)?.diffId ?? sourceIdentity(layer)).toBeString();
        }
        if (image.config !== undefined) expect(diffIds(image)).toEqual([...image.config.diffIds]);
      }));

    test('resolve gives the same for every source of the same image', () =>
      withImage((_source, first) => withImage(async (_other, second) => expect(second).toEqual(first))));

    test('open gives exactly the bytes of the blob', () =>
      withImage(async (source, image) => {
        for (const [at, layer] of image.layers.entries()) {
          const bytes = await source.open(layer, NEVER);
          const read = await readAll(bytes);
          expect(sha256Hex(read)).toBe(sha256Hex(under.blobs[at] ?? new Uint8Array()));
          if (bytes.size !== undefined) expect(bytes.size).toBe(read.length);
        }
      }));

    test('open serves all layers at a time, the top one first', () =>
      withImage(async (source, image) => {
        const opened = await Promise.all(
          [...image.layers].reverse().map((layer) => source.open(layer, NEVER)),
        );
        const read = await Promise.all(opened.map(readAll));
        expect(read.reverse().map(sha256Hex)).toEqual(under.blobs.map(sha256Hex));
      }));

    test('open serves a layer again after a reader went away', () =>
      withImage(async (source, image) => {
        const layer = largest(image, under.blobs);
        const first = await source.open(layer, NEVER);
        if (first.kind === 'stream') for await (const _chunk of first.chunks) break;
        expect((await readAll(await source.open(layer, NEVER))).length).toBe(longest(under.blobs));
      }));

    test('resolve and open stop at once for a signal that has been given', () =>
      withImage(async (source, image) => {
        const reason = new Error('given up');
        const aborted = AbortSignal.abort(reason);
        const other = under.create();
        expect(await rejection(other.resolve(aborted))).toBe(reason);
        await other.close();
        for (const layer of image.layers) expect(await rejection(source.open(layer, aborted))).toBe(reason);
      }));

    test('a signal ends a stream in the middle', () =>
      withImage(async (source, image) => {
        const abort = new AbortController();
        const bytes = await source.open(largest(image, under.blobs), abort.signal);
        const reason = new Error('given up');
        if (bytes.kind === 'file') {
          // A file is the reader's to stop reading; the source must leave it where it is.
          abort.abort(reason);
          expect((await readAll(bytes)).length).toBe(longest(under.blobs));
          return;
        }
        expect(await rejection(readUntilStopped(bytes, () => abort.abort(reason)))).toBe(reason);
      }));

    test('close ends every stream, and may be called again', () =>
      withImage(async (source, image) => {
        const bytes = await source.open(largest(image, under.blobs), NEVER);
        if (bytes.kind === 'stream') {
          const stopped = rejection(readUntilStopped(bytes, () => void source.close()));
          expect(await within(stopped, STOP_MS)).toBeInstanceOf(Error);
        }
        await source.close();
        await source.close();
      }));

    test('close works before resolve, and after resolve has failed', async () => {
      await under.create().close();
      const missing = under.createMissing();
      expect(await rejection(missing.resolve(NEVER))).toBeInstanceOf(PluginError);
      await missing.close();
    });
  });
}

function diffIds(image: ResolvedImage): unknown[] {
  return image.layers.map((layer) => blobOfLayer(layer)?.diffId);
}

function longest(blobs: readonly Uint8Array[]): number {
  return Math.max(...blobs.map(({ length }) => length));
}

function largest(image: ResolvedImage, blobs: readonly Uint8Array[]): ImageLayer {
  const layer = image.layers[blobs.findIndex(({ length }) => length === longest(blobs))];
  if (layer === undefined) throw new Error('an image without layers cannot be tested');
  return layer;
}

async function readAll(bytes: LayerBytes): Promise<Uint8Array> {
  if (bytes.kind === 'file') {
    const at = bytes.at ?? 0;
    return Bun.file(bytes.path)
      .slice(at, at + bytes.size)
      .bytes();
  }
  const chunks: Uint8Array[] = [];
  // Copies: a source may fill the same buffer again.
  for await (const chunk of bytes.chunks) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

/** Reads on after calling `stop` with the first chunk: what comes must end in an error, not in an end. */
async function readUntilStopped(bytes: LayerBytes & { kind: 'stream' }, stop: () => void): Promise<void> {
  let stopped = false;
  for await (const _chunk of bytes.chunks) {
    if (!stopped) stop();
    stopped = true;
  }
  throw new Error('the stream ended as if it were complete');
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
