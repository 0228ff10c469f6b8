import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { type Digest, digestOf } from '../../../../lib/base/digest.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import {
  collect,
  finishCollection,
  planCollection,
  renamedForRemoval,
} from '../../../../lib/store/collect/collect.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { shimOf, shortName, stackKey, type VolumeName } from '../../../../lib/store/layout/layer-key.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { throughGate } from '../../../../lib/sys/exclusive/gate.ts';
import { publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';

function imageUsing(store: Store, id: string, uses: readonly string[]): void {
  mkdirSync(store.layout.image(parseImageId(id)));
  store.images.writeRecord(parseImageId(id), {
    image: id,
    manifestDigest: undefined,
    created: '',
    uses,
    lowers: [],
    mounted: false,
    layers: [],
  });
}

/** Into the store's blobs, under its digest. */
function putDocument(store: Store, value: unknown): Digest {
  const bytes = Buffer.from(JSON.stringify(value));
  store.blobs.put(digestOf(bytes), { bytes, grade: 'everybody' }, PLACE);
  return digestOf(bytes);
}

function descriptor(mediaType: string, digest: string) {
  return { mediaType, digest, size: 2 };
}

function configOf(diffIds: readonly string[]) {
  return { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } };
}

function manifestOf(config: Digest, layers: readonly string[]) {
  const plain = layers.map((digest) => descriptor(OCI_LAYER, digest));
  return { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor(OCI_CONFIG, config), layers: plain };
}

function shim(store: Store, volume: VolumeName): void {
  mkdirSync(`${store.layout.volume(volume)}/fs`, { recursive: true });
  store.layers.ensureLink(volume);
}

const PLACE = 'registry.example/app';

test('takes what neither an image nor a live lease names, with its short link, and nothing else', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [used, leased, unused] = [
    publishLayer(store, 'used'),
    publishLayer(store, 'leased'),
    publishLayer(store, 'unused'),
  ];
  imageUsing(store, 'container', [used]);
  using _lease = new Lease(store.layout, undefined, [leased]);
  const plan = planCollection(store);
  expect(plan).toMatchObject({ unused: [unused], bytes: 'unused'.length, kept: undefined });
  expect(plan.diskBytes).toBeGreaterThan(2 * 4096);
  expect(await collect(store, plan, silentLogger)).toEqual([unused]);
  expect(readdirSync(store.layout.volumes).sort()).toEqual([used, leased].sort());
  expect(readdirSync(store.layout.links).sort()).toEqual([shortName(used), shortName(leased)].sort());
  expect(readdirSync(store.layout.tmp)).toEqual([]);
});

test('leaves a layer that a create named after it was chosen where it is', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'wanted');
  const plan = planCollection(store);
  expect(plan.unused).toEqual([layer]);
  using _lease = new Lease(store.layout, parseImageId('late'), [layer]);
  const { ino } = statSync(store.layout.volume(layer));
  expect(await collect(store, plan, silentLogger)).toEqual([]);
  expect(statSync(store.layout.volume(layer)).ino).toBe(ino);
  expect(existsSync(`${store.layout.tree(layer)}/wanted`)).toBe(true);
  expect(existsSync(`${store.layout.links}/${shortName(layer)}`)).toBe(true);
});

test('a lease of a dead owner protects nothing', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'orphan');
  const dead = '1.1.4026531836.00000000-0000-0000-0000-000000000000.1';
  writeFileSync(`${store.layout.leases}/${dead}`, `image \n${layer}\n`);
  expect(await collect(store, planCollection(store), silentLogger)).toEqual([layer]);
});

test('a shim lives as long as what it is for', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [kept, gone] = [publishLayer(store, 'kept'), publishLayer(store, 'gone')];
  const stack = stackKey([kept]);
  for (const volume of [shimOf(kept), shimOf(gone), shimOf(stack)]) shim(store, volume);
  imageUsing(store, 'container', [stack, kept]);
  expect((await collect(store, planCollection(store), silentLogger)).sort()).toEqual(
    [gone, shimOf(gone)].sort(),
  );
  expect(readdirSync(store.layout.volumes).sort()).toEqual([kept, shimOf(kept), shimOf(stack)].sort());
});

test('what a killed clean set aside is deleted, with the links that lead to nothing', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [first, second] = [publishLayer(store, 'first'), publishLayer(store, 'second')];
  for (const layer of [first, second])
    renameSync(store.layout.volume(layer), `${store.layout.volumes}/gc.${layer}`);
  expect(renamedForRemoval(store).sort()).toEqual([first, second].sort());
  publishLayer(store, 'second');
  expect(await finishCollection(store, silentLogger)).toBe(2);
  expect(readdirSync(store.layout.volumes)).toEqual([second]);
  expect(readdirSync(store.layout.links)).toEqual([shortName(second)]);
});

test('a copy that a killed clean set aside makes way for one that was published again', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'twice');
  renameSync(store.layout.volume(layer), `${store.layout.volumes}/gc.${layer}`);
  publishLayer(store, 'twice');
  using _lease = new Lease(store.layout, undefined, [layer]);
  await finishCollection(store, silentLogger);
  expect(readdirSync(store.layout.volumes)).toEqual([layer]);
  expect(existsSync(`${store.layout.tree(layer)}/twice`)).toBe(true);
});

test('an image whose record cannot be read keeps all layers, and the plan says which it is', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'precious');
  imageUsing(store, 'container', [layer]);
  writeFileSync(store.layout.imageRecord(parseImageId('container')), '{');
  const path = store.layout.imageRecord(parseImageId('container'));
  const plan = planCollection(store);
  expect(plan).toMatchObject({ unused: [], kept: { path, reason: 'it is not JSON' } });
  expect(await collect(store, plan, silentLogger)).toEqual([]);
  expect(existsSync(store.layout.tree(layer))).toBe(true);
});

test('forgets plans and sources of layers that are gone', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'short-lived');
  const record = store.layers.record(layer);
  if (!record) throw new Error('no record');
  store.sources.remember('1:2:3:4', record.diffId);
  store.sources.rememberNeedsLower(layer);
  const key = stackKey([layer]);
  const root = { mode: 0o755, uid: 0, gid: 0, mtime: undefined, xattrs: [] };
  store.stacks.put(key, { lowers: [layer], uses: [layer], layerBytes: 1, root });
  await collect(store, planCollection(store), silentLogger);
  expect(readdirSync(store.layout.sources)).toEqual([]);
  expect(readdirSync(store.layout.stacks)).toEqual([]);
});

test('forgets what is known of a published layer only while no create can name it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const list = store.cvmfsRecords.list.bind(store.cvmfsRecords);
  const named: boolean[] = [];
  store.cvmfsRecords.list = () => {
    try {
      throughGate(store.layout.leases, 'shared', 'the clean', () => named.push(true), 0);
    } catch (error) {
      expect(error).toMatchObject({ code: 'STORE_BUSY' });
      named.push(false);
    }
    return list();
  };
  await collect(store, planCollection(store), silentLogger);
  // Then once more, for the manifests that those layers keep.
  expect(named).toEqual([false, true]);
});

test('keeps the manifests and configurations of layers that stay, through an index, and drops the rest', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layer = publishLayer(store, 'stays');
  const put = (value: unknown) => putDocument(store, value);
  const config = put(configOf([`sha256:${layer.slice(0, 64)}`]));
  const manifest = put(manifestOf(config, []));
  const index = put({ schemaVersion: 2, manifests: [descriptor(OCI_MANIFEST, manifest)] });
  const stray = put({ config: {} });
  using _lease = new Lease(store.layout, undefined, [layer]);
  await collect(store, planCollection(store), silentLogger);
  expect(
    [config, manifest, index, stray].map((digest) => store.blobs.get(digest, PLACE) !== undefined),
  ).toEqual([true, true, true, false]);
});

test('forgets an image of which one layer is gone, though another stays below newer images', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const [base, gone] = [publishLayer(store, 'base'), publishLayer(store, 'gone')];
  const put = (value: unknown) => putDocument(store, value);
  const diffIds = [base, gone].map((key) => `sha256:${key.slice(0, 64)}`);
  const config = put(configOf(diffIds));
  // Layers that are not packed have their diffIDs in the manifest too.
  const manifest = put(manifestOf(config, diffIds));
  put({ schemaVersion: 2, manifests: [descriptor(OCI_MANIFEST, manifest)] });
  put(configOf([]));
  put(null);
  put({ rootfs: null, config: null });
  const newer = put(configOf(diffIds.slice(0, 1)));
  using _lease = new Lease(store.layout, undefined, [base]);
  await collect(store, planCollection(store), silentLogger);
  expect(readdirSync(store.layout.blobs)).toEqual([newer.slice('sha256:'.length)]);
});

test('a blob whose bytes are not what its name says is not there', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const digest = digestOf('right');
  writeFileSync(store.layout.blob(digest), 'wrong');
  expect(store.blobs.get(digest, PLACE)).toBeUndefined();
});
