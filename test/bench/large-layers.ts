/**
 * Images of one gzip layer that is large in one way: many files of a few bytes, or one file of many. Written as
 * streams, so that whoever makes them stays small however large they are.
 */
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import { OCI_LAYER } from '../../lib/oci/media-types.ts';
import { executable } from '../support/graft.ts';
import { LayoutBuilder, named, type RawDescriptor } from '../support/images/layout-builder.ts';
import { entry, header, zeros } from '../support/images/tar-writer.ts';

/** As builders' caches and node_modules have them. */
const FILES_IN_A_DIRECTORY = 100;
const BLOCK = 512;
const PIECE = 1024 * 1024;

export interface LargeLayer {
  readonly url: string;
  readonly blob: string;
  readonly entries: number;
  readonly tarBytes: number;
}

/** `count` files that each hold their own name. */
export function tinyFiles(layout: string, count: number): Promise<LargeLayer> {
  function* pieces(): Generator<Uint8Array> {
    yield entry({ name: './', type: '5' });
    for (let first = 0; first < count; first += FILES_IN_A_DIRECTORY) {
      const directory = `d${first / FILES_IN_A_DIRECTORY}`;
      const parts = [entry({ name: `${directory}/`, type: '5' })];
      for (let i = first; i < Math.min(count, first + FILES_IN_A_DIRECTORY); i += 1) {
        const name = `${directory}/f${i}`;
        parts.push(entry({ name, content: `${name}\n`, mtime: 1_600_000_000 + i }));
      }
      yield Buffer.concat(parts);
    }
    yield zeros(2);
  }
  return layer(layout, count + Math.ceil(count / FILES_IN_A_DIRECTORY) + 1, pieces());
}

/** One file of `size` bytes: this program's own executable again and again, which gzip packs as it does others. */
export function oneFile(layout: string, size: number): Promise<LargeLayer> {
  function* pieces(): Generator<Uint8Array> {
    yield entry({ name: './', type: '5' });
    yield header({ name: 'file', size });
    for (let left = size; left > 0; ) {
      for (const piece of piecesOf(executable())) {
        const part = piece.subarray(0, left);
        left -= part.length;
        yield part;
        if (left === 0) break;
      }
    }
    yield Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
    yield zeros(2);
  }
  return layer(layout, 2, pieces());
}

function* piecesOf(path: string): Generator<Uint8Array> {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const piece = Buffer.alloc(PIECE);
      const length = readSync(fd, piece);
      if (length === 0) return;
      yield piece.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

async function layer(layout: string, entries: number, pieces: Iterable<Uint8Array>): Promise<LargeLayer> {
  const builder = new LayoutBuilder(layout);
  const { descriptor, diffId, tarBytes } = await packed(builder, pieces);
  const config = builder.config([diffId]);
  builder.write([builder.image([descriptor], { config }, named('latest'))]);
  return { url: builder.url('latest'), blob: builder.blobPath(descriptor), entries, tarBytes };
}

/** Compressed and hashed as it comes. */
async function packed(builder: LayoutBuilder, pieces: Iterable<Uint8Array>) {
  const unnamed = join(builder.directory, 'layer');
  const [tarHash, blobHash] = [new Bun.CryptoHasher('sha256'), new Bun.CryptoHasher('sha256')];
  const [fd, gzip] = [openSync(unnamed, 'wx'), createGzip({ level: 1 })];
  let [tarBytes, size] = [0, 0];
  try {
    gzip.on('data', (chunk: Uint8Array) => {
      blobHash.update(chunk);
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      size += chunk.length;
    });
    const ended = new Promise((resolve, reject) => gzip.on('end', resolve).on('error', reject));
    for (const piece of pieces) {
      tarHash.update(piece);
      tarBytes += piece.length;
      if (!gzip.write(piece)) await new Promise((resolve) => gzip.once('drain', resolve));
    }
    gzip.end();
    await ended;
  } catch (error) {
    rmSync(unnamed);
    throw error;
  } finally {
    closeSync(fd);
  }
  const digest = `sha256:${blobHash.digest('hex')}`;
  const descriptor: RawDescriptor = { mediaType: `${OCI_LAYER}+gzip`, digest, size };
  renameSync(unnamed, builder.blobPath(descriptor));
  return { descriptor, diffId: `sha256:${tarHash.digest('hex')}`, tarBytes };
}
