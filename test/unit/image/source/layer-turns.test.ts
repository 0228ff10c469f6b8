/** Who waits for somebody else's download waits as long as an honest one takes, and then fetches beside it. */

import { expect, test } from 'bun:test';
import { type DiffId, type Digest, digestOf } from '../../../../lib/base/digest.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { silentProgress } from '../../../../lib/base/progress.ts';
import { cachedPlan } from '../../../../lib/image/pull/cached-plan.ts';
import type { PulledImage } from '../../../../lib/image/pull/context.ts';
import { nameLayers } from '../../../../lib/image/pull/layer-names.ts';
import { pullImage, pullInTurn } from '../../../../lib/image/pull/pull.ts';
import { type BlobLayer, digestOfLayer, type ImageLayer } from '../../../../lib/image/source/image-layer.ts';
import { LayerTurns, type Patience, waitEnd } from '../../../../lib/image/source/layer-turns.ts';
import type { ImageSource, ResolvedImage } from '../../../../lib/image/source/source.ts';
import type { UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import type { UnpackBytes } from '../../../../lib/layer/unpack/unpack.ts';
import { unpackInto } from '../../../../lib/layer/unpack/unpack-into.ts';
import { type LayerKey, layerKey, stackKey } from '../../../../lib/store/layout/layer-key.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { listNames } from '../../../../lib/sys/kernel/look.ts';
import { tar } from '../../../support/images/tar-writer.ts';
import { chunksOf, ROOMY } from '../../../support/images/unpack.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';
import { actor } from '../../sys/exclusive/actors/spawn.ts';

const MiB = 1024 * 1024;
const never = new AbortController().signal;

interface TestLayer {
  readonly layer: BlobLayer;
  readonly key: LayerKey;
  readonly blob: Uint8Array;
}

function testLayer(name: string): TestLayer {
  const blob = tar([{ name, content: name }]);
  const digest = digestOf(blob) as Digest & DiffId;
  const layer: BlobLayer = {
    digest,
    diffId: digest,
    size: blob.length,
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    compression: 'none',
    baseDirectory: undefined,
    urls: [],
    kind: 'blob',
  };
  return { layer, key: layerKey({ content: digest, validated: true }), blob };
}

function image(repository: string, layers: readonly TestLayer[]): ResolvedImage {
  return {
    name: `docker://registry.example/${repository}`,
    manifestDigest: undefined,
    config: undefined,
    layers: layers.map(({ layer }) => layer),
    origin: { registry: 'registry.example', repository },
  };
}

/** Waits for nobody, or for ever. */
const impatient = (): Patience => ({
  since: performance.now(),
  floorMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
});

/** A source whose layers come when their gates open, and that counts who asks. */
class TestSource implements ImageSource {
  readonly opened: string[] = [];
  readonly #blobs: ReadonlyMap<unknown, Uint8Array>;
  readonly #gates: ReadonlyMap<unknown, Promise<void>>;

  constructor(layers: readonly TestLayer[], gates: readonly [TestLayer, Promise<void>][] = []) {
    this.#blobs = new Map(layers.map(({ layer, blob }) => [layer.digest, blob]));
    this.#gates = new Map(gates.map(([{ layer }, gate]) => [layer.digest, gate]));
  }

  resolve = () => Promise.reject(new Error('nothing is resolved here'));
  close = () => Promise.resolve();
  delivered = () => ({ to: 'everybody' }) as const;

  async open(layer: ImageLayer, signal: AbortSignal) {
    const digest = digestOfLayer(layer);
    this.opened.push(digest ?? '');
    const stopped = Promise.withResolvers<void>();
    stopped.promise.catch(() => undefined);
    signal.addEventListener('abort', () => stopped.reject(signal.reason));
    const gate = this.#gates.get(digest);
    const blob = this.#blobs.get(digest) ?? Buffer.alloc(0);
    const chunks = (async function* () {
      if (gate !== undefined) await Promise.race([gate, stopped.promise]);
      yield blob;
    })();
    return { kind: 'stream' as const, chunks, size: blob.length };
  }
}

function depsFor(store: Store, source: ImageSource, signal: AbortSignal, patience: Patience) {
  return {
    store,
    source,
    signal,
    patience,
    log: silentLogger,
    progress: silentProgress,
    workerUrl: '',
    unpack: async (request: UnpackRequest, bytes: UnpackBytes) => {
      if (bytes.kind !== 'stream') throw new Error('the source streams');
      const all: Uint8Array[] = [];
      for await (const chunk of bytes.chunks) all.push(chunk);
      const control = { checkpoint() {}, largeWindow: () => Promise.resolve() };
      return unpackInto(request, chunksOf(Buffer.concat(all), 65536), control);
    },
    budget: ROOMY,
    concurrency: 4,
  };
}

async function pull(
  store: Store,
  source: ImageSource,
  what: ResolvedImage,
  options: { signal?: AbortSignal; patience?: Patience; inTurn?: boolean } = {},
): Promise<PulledImage> {
  const { signal = never, patience = impatient(), inTurn = false } = options;
  using lease = new Lease(store.layout, undefined, []);
  const layers = nameLayers(store, what);
  const request = { image: what, layers, lease, quotaBytes: undefined, mapsIds: true, since: patience.since };
  const context = depsFor(store, source, signal, patience);
  return await (inTurn ? pullInTurn : pullImage)(context, request, cachedPlan(store, layers, lease));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(5);
}

test('the wait is what the waiter itself declares at 1 MiB/s, and ten seconds at least, from its own start', () => {
  const patience = { since: 500, floorMs: 10_000, bytesPerSecond: MiB };
  expect(waitEnd(patience, 0)).toBe(10_500);
  expect(waitEnd(patience, 10 * MiB)).toBe(10_500);
  expect(waitEnd(patience, 64 * MiB)).toBe(64_500);
});

test('a layer that another process never finishes is fetched beside it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = testLayer('common');
  await using hostile = actor('claim', `${store.layout.locks}/${layer.key}.claim`);
  await hostile.line('held');
  const source = new TestSource([layer]);
  const { fetched } = await pull(store, source, image('app', [layer]));
  expect(fetched.map(({ record }) => record.key)).toEqual([layer.key]);
  expect(store.layers.has(layer.key)).toBe(true);
  // The other one's claim is its own; of this process nothing is left.
  expect(listNames(store.layout.locks)).toEqual([`${layer.key}.claim`]);
});

test('the work on the whole image is not waited for either', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = testLayer('common');
  const stack = stackKey([layer.key]);
  await using hostile = actor('claim', `${store.layout.locks}/${stack}.claim`);
  await hostile.line('held');
  const { plan } = await pull(store, new TestSource([layer]), image('app', [layer]), { inTurn: true });
  expect(plan.lowers).toEqual([layer.key]);
  expect(listNames(store.layout.locks)).toEqual([`${stack}.claim`]);
});

test('many waiters make one download more for each source, whoever drips', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = testLayer('common');
  await using hostile = actor('claim', `${store.layout.locks}/${layer.key}.claim`);
  await hostile.line('held');
  const [slow, quick] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // The second place drips as well: that holds those alone who use it.
  const evil = new TestSource([layer], [[layer, slow.promise]]);
  const good = new TestSource([layer], [[layer, quick.promise]]);
  const evils = Array.from({ length: 5 }, () => pull(store, evil, image('evil', [layer])));
  await until(() => evil.opened.length === 1);
  const goods = Array.from({ length: 20 }, () => pull(store, good, image('app', [layer])));
  await until(() => good.opened.length === 1);
  quick.resolve();
  // All of the good ones come through while the evil download goes on, and so do the evil waiters.
  const done = await Promise.all(goods);
  expect(done.flatMap(({ fetched }) => fetched).length).toBe(1);
  await Promise.all(evils.slice(1));
  slow.resolve();
  await Promise.all(evils);
  expect([evil.opened.length, good.opened.length]).toEqual([1, 1]);
  expect(listNames(store.layout.locks)).toEqual([`${layer.key}.claim`]);
  expect(listNames(store.layout.tmp)).toEqual([]);
});

test('a second claim is named after everything that decides which bytes come', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const { layer, key } = testLayer('common');
  await using hostile = actor('claim', `${store.layout.locks}/${key}.claim`);
  await hostile.line('held');
  const take = (repository: string, changes: Partial<BlobLayer> = {}) => {
    const deps = { store, log: silentLogger, signal: never };
    return new LayerTurns(deps, image(repository, []), impatient()).take(key, { ...layer, ...changes });
  };
  // Claims of this process: none of them is in another's way.
  const mine = [
    take('app'),
    take('evil'),
    take('app', { digest: digestOf('junk under the same diffID') }),
    take('app', { urls: ['https://elsewhere.example/blob'] }),
  ];
  expect(mine.map((turn) => 'paths' in turn)).toEqual([false, false, false, false]);
  const again = take('app');
  expect(again).toMatchObject({ until: Number.POSITIVE_INFINITY });
  expect('paths' in again && again.paths.length).toBe(2);
  for (const turn of mine) if ('release' in turn) turn.release();
  expect(listNames(store.layout.locks)).toEqual([`${key}.claim`]);
});

test('a layer is published and its claim given up while the rest of the image is on its way', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [first, slow] = [testLayer('first'), testLayer('slow')];
  const abort = new AbortController();
  const gate = new Promise<void>(() => undefined);
  const source = new TestSource([first, slow], [[slow, gate]]);
  const pulling = pull(store, source, image('app', [first, slow]), { signal: abort.signal });
  await until(() => listNames(store.layout.locks).join() === `${slow.key}.claim`);
  expect(store.layers.has(first.key)).toBe(true);
  expect(store.layers.has(slow.key)).toBe(false);
  abort.abort(new RangeError('enough'));
  await expect(pulling).rejects.toThrow(new RangeError('enough'));
  expect(listNames(store.layout.locks)).toEqual([]);
  expect(listNames(store.layout.tmp)).toEqual([]);
});

test('a layer that fails gives its claim up at once, and the others are published', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [good, bad] = [testLayer('good'), testLayer('bad')];
  const gate = Promise.withResolvers<void>();
  const liar = { ...bad, blob: good.blob };
  const source = new TestSource([good, liar], [[good, gate.promise]]);
  const pulling = pull(store, source, image('app', [bad, good]));
  pulling.catch(() => undefined);
  await until(() => listNames(store.layout.locks).join() === `${good.key}.claim`);
  gate.resolve();
  await expect(pulling).rejects.toMatchObject({ code: 'LAYER_DIGEST_MISMATCH' });
  expect(store.layers.has(good.key)).toBe(true);
  expect(listNames(store.layout.locks)).toEqual([]);
});
