/** What all layers of an image together may cost that are fetched on top of others. */

import { afterEach, beforeEach, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { type DiffId, type Digest, digestOf } from '../../../../lib/base/digest.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { silentProgress } from '../../../../lib/base/progress.ts';
import { cachedPlan } from '../../../../lib/image/pull/cached-plan.ts';
import type { PulledImage } from '../../../../lib/image/pull/context.ts';
import { nameLayers } from '../../../../lib/image/pull/layer-names.ts';
import { pullImage } from '../../../../lib/image/pull/pull.ts';
import { declaredSize, digestOfLayer, type ImageLayer } from '../../../../lib/image/source/image-layer.ts';
import type { ImageSource, ResolvedImage } from '../../../../lib/image/source/source.ts';
import { MAX_LOOKS } from '../../../../lib/layer/tree/budget.ts';
import type { Unpacked, UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import { listNames } from '../../../../lib/sys/kernel/look.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { failureOf, ROOMY, unpack } from '../../../support/images/unpack.ts';
import { type ScratchStore, scratchStore } from '../../../support/stores/scratch-store.ts';
import { NEVER } from '../source/support.ts';

const MiB = 1024 * 1024;
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', link });

let scratch: ScratchStore;
const blobs = new Map<unknown, Uint8Array>();
let unpacked: { readonly request: UnpackRequest; readonly result: Unpacked }[] = [];
beforeEach(async () => {
  scratch = await scratchStore();
  unpacked = [];
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
  blobs.clear();
});

function testLayer(...entries: EntrySpec[]): ImageLayer {
  const blob = tar(entries);
  const digest = digestOf(blob) as Digest & DiffId;
  blobs.set(digest, blob);
  const packed = { mediaType: 'application/vnd.oci.image.layer.v1.tar', compression: 'none' } as const;
  const rest = { baseDirectory: undefined, urls: [], kind: 'blob' } as const;
  return { digest, diffId: digest, size: blob.length, ...packed, ...rest };
}

const source: ImageSource = {
  resolve: () => Promise.reject(new Error('nothing is resolved here')),
  close: () => Promise.resolve(),
  delivered: () => ({ to: 'everybody' }) as const,
  open: async (layer) => {
    const path = String(digestOfLayer(layer));
    return { kind: 'file', path, size: blobs.get(path)?.length ?? 0 };
  },
};

/** Unpacks in this thread, and remembers with which budget. */
async function pull(layers: readonly ImageLayer[]): Promise<PulledImage> {
  const { store } = scratch;
  const image: ResolvedImage = { name: 'image', manifestDigest: undefined, config: undefined, layers };
  using lease = new Lease(store.layout, undefined, []);
  const deps = {
    store,
    source,
    signal: NEVER,
    log: silentLogger,
    progress: silentProgress,
    workerUrl: '',
    unpack: async (request: UnpackRequest) => {
      const result = await unpack(request, blobs.get(request.expected.digest) ?? Buffer.alloc(0));
      unpacked.push({ request, result });
      return result;
    },
    budget: ROOMY,
    concurrency: 1,
  };
  const named = nameLayers(store, image);
  const request = {
    image,
    layers: named,
    lease,
    quotaBytes: undefined,
    mapsIds: true,
    since: performance.now(),
  };
  return await pullImage(deps, request, cachedPlan(store, named, lease));
}

/** The layers that were unpacked on top of others. */
const onTop = () => unpacked.filter(({ request }) => request.lowers !== undefined);

test('an image copies as much for hard links as its layers have, or 64 MiB, in all its layers together', async () => {
  const base = testLayer({ name: 'big', content: Buffer.alloc(34 * MiB) });
  const linking = [1, 2].map((i) => testLayer(H(`link-${i}`, 'big')));
  // As much as a layer's own archive may be its own.
  const limit = 30 * MiB + (linking[0] === undefined ? 0 : (declaredSize(linking[0]) ?? 0));
  expect(await failureOf(pull([base, ...linking]))).toMatchObject({
    code: 'LAYER_TOO_LARGE',
    subject: { what: 'bytes of lower layers that it links to', limit },
  });
  expect(onTop().map(({ request }) => request.copyBytes)).toEqual([64 * MiB]);
  // The copy that fitted is whole; of the other nothing is left.
  expect(listNames(scratch.store.layout.tmp)).toEqual([]);
  expect((await pull([base, ...linking.slice(0, 1)])).plan.lowers).toHaveLength(2);
});

test('and takes as many looks at names for it as one layer may', async () => {
  const base = testLayer({ name: 'd/file', content: 'x' });
  await pull([base, ...[1, 2, 3].map((i) => testLayer(H(`link-${i}`, 'd/file')))]);
  const taken = onTop().map(({ result }) => result.looks);
  expect(Math.min(...taken)).toBeGreaterThan(0);
  const [first = 0, second = 0] = taken;
  expect(onTop().map(({ request }) => request.looks)).toEqual([
    MAX_LOOKS,
    MAX_LOOKS - first,
    MAX_LOOKS - first - second,
  ]);
});

test('names of layers that were fetched on top of others count to what planning has in memory', async () => {
  const { store } = scratch;
  const base = testLayer({ name: 'd/file', content: 'x' });
  const linking = testLayer(H('link', 'd/file'));
  const { plan } = await pull([base, linking]);
  const key = plan.lowers[0];
  // Its record says so, and nothing else has to: no names are read before they are counted.
  const path = `${store.layout.volumes}/${key}/layer.json`;
  const record = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...record, nameBytes: 17 * MiB }));
  expect(await failureOf(pull([base, linking, testLayer({ name: 'more', content: '' })]))).toMatchObject({
    code: 'IMAGE_TOO_COMPLEX',
    subject: { what: 'bytes of names', limit: 16 * MiB },
  });
});
