/**
 * The tree of a large layer is written to the disk by its own thread. When that fails, nobody knows whose bytes are
 * lost: a later sync does not tell of it again.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { MiB } from '../../lib/base/limits.ts';
import { countPoints, type FaultPoint, graftWithFault } from '../support/faults/faults.ts';
import { LayoutBuilder, named } from '../support/images/layout-builder.ts';
import { tar } from '../support/images/tar-writer.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const EIO = 5;

let store: TestStore;
let url: string;
let points: FaultPoint[];

beforeAll(async () => {
  store = await testStore();
  const builder = new LayoutBuilder(store.dir.at('layout'));
  // Plain, so that each chunk is what one read gave and every run makes the same calls.
  const large = builder.layer(tar([{ name: 'large', content: Buffer.alloc(64 * MiB, 'x') }]));
  const small = builder.layer(tar([{ name: 'small', content: 'x' }]));
  builder.write([builder.image([large, small], {}, named('latest'))]);
  url = builder.url('latest');
  points = await countPoints(['--store', store.path, 'create', url, 'first'], store.dir.at('points'));
  await store.must(['delete', 'first']);
  await store.must(['clean']);
}, 600_000);
afterAll(() => store?.[Symbol.asyncDispose]());

const volumes = () => readdirSync(`${store.path}/volumes`);
const ofThreads = () => points.filter(({ syscall, thread }) => syscall === 'syncfs' && thread !== 'main');

test('its thread syncs it, once, after the last file, and the small one waits', () => {
  const [sync, ...more] = ofThreads();
  expect(more).toEqual([]);
  expect(sync?.path).toMatch(/\/tmp\/.*\/fs$/);
  const after = points.filter(
    ({ thread, number }) => thread === sync?.thread && number > (sync?.number ?? 0),
  );
  expect(after).toEqual([]);
});

test('when that fails, neither layer is published, and the next create makes both', async () => {
  const at = ofThreads()[0]?.number ?? 0;
  // Which thread is whose is not said; the small layer's never comes so far.
  const plan = ['worker1', 'worker2'].map((thread) => `fail:${thread}:${at}:${EIO}`).join(' ');
  const failed = await graftWithFault(['--store', store.path, 'create', url, 'second'], plan);
  expect([failed.code, failed.stdout]).toEqual([1, expect.stringContaining('input/output error')]);
  expect(volumes()).toEqual([]);
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
  expect(readdirSync(`${store.path}/images`)).toEqual([]);
  await store.must(['create', url, 'second']);
  expect(volumes().filter((name) => !name.endsWith('.shim'))).toHaveLength(2);
}, 600_000);
