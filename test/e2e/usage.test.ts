/** Where the disk went, for people and for programs; and what a clean says of its threshold. */
import { expect, test } from 'bun:test';
import { mkdirSync, statSync } from 'node:fs';
import { graftMust } from '../support/graft.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { testStore } from '../support/stores/store.ts';
import { tempDir } from '../support/temp.ts';

interface Usage {
  images: { id: string; layerBytes: number }[];
  layers: { layer: string; bytes: number; usedBy: string[] }[];
  layerBytes: number;
  sharedBytes: number;
  reclaimableBytes: number;
  clean: { thresholdBytes: number; due: boolean; missingBytes: number; reachable: boolean };
  leaked: { staged: number; projectIds: number; places: string[] };
  backing?: { path: string; sizeBytes: number; onDiskBytes: number };
  filesystem: { totalBytes: number; usedBytes: number };
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
  expect(dry).toContain('would delete 1 layer or shim');
  expect(await store.must(['clean'])).toBe('clean completed\n');
  expect((await usage()).layerBytes).toBe(0);
});

test('it says how much is missing until a clean acts, and the clean keeps to it', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  await store.must(['pull', image.url]);
  const config = store.dir.at('config.yml');
  const threshold = async (bytes: number) => {
    await Bun.write(config, `clean:\n  threshold_bytes: ${bytes}\n`);
    const on = (...args: string[]) => store.must(['--config', config, ...args]);
    return { usage: JSON.parse(await on('usage', '--json')) as Usage, text: await on('usage'), on };
  };
  const { layerBytes } = (await threshold(1)).usage;
  const before = await threshold(layerBytes + 1024);
  expect(before.usage.clean).toMatchObject({ due: false, missingBytes: 1024, reachable: true });
  expect(before.text).toContain('A clean does nothing until 1 KiB more are committed or cached');
  expect(await before.on('clean')).toBe('threshold not reached: skipping clean\n');
  const after = await threshold(layerBytes);
  expect(after.usage.clean).toMatchObject({ due: true, missingBytes: 0, reachable: true });
  expect(after.text).toContain('A clean is due');
  expect(await after.on('clean')).toBe('clean completed\n');
  expect((await threshold(layerBytes)).usage.layerBytes).toBe(0);
});

test('what a crash left is counted until the next clean', async () => {
  await using store = await testStore();
  // Nobody alive has that name.
  mkdirSync(`${store.path}/tmp/left-behind`);
  const usage = async () => JSON.parse(await store.must(['usage', '--json'])) as Usage;
  expect((await usage()).leaked).toMatchObject({
    staged: 1,
    projectIds: 0,
    places: [`${store.path}/tmp/left-behind`],
  });
  expect(await store.must(['usage'])).toContain('Left over from crashes and deletes: 1 place (');
  await store.must(['clean']);
  expect((await usage()).leaked).toEqual({ staged: 0, projectIds: 0, places: [] });
  expect(await store.must(['usage'])).toContain('Nothing is left over from crashes or deletes.');
});

test('the file below a store is told with what it may take and what it takes; bars are its shares', async () => {
  await using dir = tempDir();
  const on = (...args: string[]) => graftMust(['--store', dir.at('store'), ...args]);
  const size = 400 * 1024 ** 2;
  await on('init-store', '--store-size-bytes', String(size));
  const usage = JSON.parse(await on('usage', '--json')) as Usage;
  const path = dir.at('store.backing-store');
  expect(usage.backing).toMatchObject({ path, sizeBytes: size });
  const taken = usage.backing?.onDiskBytes ?? 0;
  expect([taken % 512, taken <= statSync(path).blocks * 512, taken > 0]).toEqual([0, true, true]);
  const text = await on('usage');
  expect(text).toContain(`${path} may grow to 400 MiB and takes `);
  const [, bar = ''] = /^used +\S+ \S+ +\[([#.]{24})\]/m.exec(text) ?? [];
  const { totalBytes, usedBytes } = usage.filesystem;
  expect(bar.indexOf('.')).toBe(Math.round((usedBytes / totalBytes) * 24));
  await on('delete-store');
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
