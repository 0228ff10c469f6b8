/** Where the disk went, for people and for programs; and what a clean says of its threshold. */
import { expect, test } from 'bun:test';
import { makeBusyboxImage } from '../support/images.ts';
import { testStore } from '../support/store.ts';

interface Usage {
  images: { id: string; layerBytes: number }[];
  layers: { layer: string; bytes: number; usedBy: string[] }[];
  layerBytes: number;
  sharedBytes: number;
  reclaimableBytes: number;
  clean: { due: boolean; reachable: boolean };
}

test('usage adds up: shared, reclaimable, and what a clean takes is what it said', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  for (const id of ['one', 'two']) await store.must(['create', image.url, id]);
  const usage = async () => JSON.parse(await store.must(['usage', '--json'])) as Usage;
  const used = await usage();
  expect(used.images.map(({ id }) => id).sort()).toEqual(['one', 'two']);
  expect(used.layers[0]?.usedBy.slice().sort()).toEqual(['one', 'two']);
  expect([used.sharedBytes, used.reclaimableBytes]).toEqual([used.layerBytes, 0]);
  for (const id of ['one', 'two']) await store.must(['delete', id]);
  const left = await usage();
  expect([left.sharedBytes, left.reclaimableBytes]).toEqual([0, used.layerBytes]);
  const dry = await store.must(['clean', '--dry-run']);
  expect(dry).toContain('would delete 1 layers and shims');
  expect(await store.must(['clean'])).toBe('clean completed\n');
  expect((await usage()).layerBytes).toBe(0);
});

test('a threshold that the disk cannot reach is a warning in usage, doctor and the log of clean, never an error', async () => {
  await using store = await testStore();
  const config = store.dir.at('config.yml');
  await Bun.write(config, 'clean:\n  threshold_bytes: 99999999999999\n');
  const on = (...args: string[]) => store.graft(['--config', config, ...args]);
  expect((await on('usage')).stdout).toContain('A clean will hardly ever act');
  expect((await on('doctor')).stdout).toContain('lower clean.threshold_bytes');
  const clean = await on('--log-level', 'error', 'clean');
  expect([clean.code, clean.stdout]).toEqual([0, 'threshold not reached: skipping clean\n']);
  expect(clean.stderr).toContain('threshold-hardly-reachable');
});

test('an unpacked layer is timed for metron: download and unpacking', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  const file = store.dir.at('metrics.prom');
  await store.must(['--metrics-file', file, 'create', image.url, 'timed']);
  const written = await Bun.file(file).text();
  for (const name of ['creation', 'download', 'unpack']) expect(written.toLowerCase()).toContain(name);
});
