/** Who may have a layer, as the store remembers it: appended by many at once, and distrusted after a crash. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { appendFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { digestOf } from '../../../../lib/base/digest.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { collect, planCollection } from '../../../../lib/store/collect/collect.ts';
import { MAX_GRANTS_BYTES } from '../../../../lib/store/layout/ceilings.ts';
import { appendGrant, type Grant, LOCAL, readGrants } from '../../../../lib/store/records/grants.ts';
import { listNames } from '../../../../lib/sys/kernel/look.ts';
import { publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const PLACE = 'registry.example/app';
const ASKED: Grant = { to: 'asked', place: PLACE, digest: digestOf('blob'), size: 5 };
const CELL: Grant = { to: 'cell', place: LOCAL };
const file = () => dir.at('access');

test('what was added is read, once each, and only root reads the file', () => {
  for (const grant of [ASKED, CELL, ASKED, { to: 'everybody' } as const]) appendGrant(file(), grant);
  expect(readGrants(file())).toEqual([ASKED, CELL, { to: 'everybody' }]);
  expect(statSync(file()).mode & 0o777).toBe(0o600);
});

test.each([
  ['nothing', ''],
  ['zeros, which a power cut leaves', '\0\0\0\0\0\0'],
  ['half a line', '{"to":"every'],
  ['a repository without the blob', `{"to":"asked","place":"${PLACE}"}\n`],
  ['a size that is none', `{"to":"asked","place":"${PLACE}","digest":"${digestOf('x')}","size":"1"}\n`],
  ['a digest that is none', `{"to":"asked","place":"${PLACE}","digest":"sha256:1","size":1}\n`],
  ['no place', '{"to":"cell"}\n{"to":"cell","place":""}\n'],
  ['a word of tomorrow', '{"to":"nobody"}\nnull\n[]\n7\n'],
])('%s grants nothing, and the next line is read', (_what, text) => {
  writeFileSync(file(), text);
  expect(readGrants(file())).toEqual([]);
  appendGrant(file(), CELL);
  expect(readGrants(file())).toEqual([CELL]);
});

test('a file that is no file grants nothing', () => {
  mkdirSync(file());
  expect(readGrants(file())).toEqual([]);
});

test('of a layer that is gone nothing is written, and a full file stays as it is', () => {
  appendGrant(dir.at('gone/access'), CELL);
  appendFileSync(file(), '\n'.repeat(MAX_GRANTS_BYTES - 10));
  const before = readFileSync(file());
  appendGrant(file(), CELL);
  expect(readFileSync(file())).toEqual(before);
});

test('it is published with the layer, grows when another publishes the same, and goes with it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const key = publishLayer(store, 'layer', undefined, {}, ASKED);
  expect(store.layers.grants(key)).toEqual([ASKED]);
  publishLayer(store, 'layer', undefined, {}, CELL);
  expect(store.layers.grants(key)).toEqual([ASKED, CELL]);
  expect(listNames(store.layout.tmp)).toEqual([]);
  await collect(store, planCollection(store), silentLogger);
  expect([store.layers.has(key), store.layers.grants(key)]).toEqual([false, []]);
});

test('a document that only credentials got is found from its own place alone', async () => {
  await using scratch = await scratchStore();
  const { blobs } = scratch.store;
  const bytes = Buffer.from('{}');
  const digest = digestOf(bytes);
  blobs.put(digest, { bytes, grade: 'asked' }, PLACE);
  expect(blobs.get(digest, PLACE)?.grade).toBe('asked');
  for (const other of ['registry.example/other', 'thief.example/app', LOCAL])
    expect(blobs.get(digest, other)).toBeUndefined();
  blobs.put(digest, { bytes, grade: 'cell' }, PLACE);
  expect(blobs.get(digest, PLACE)?.grade).toBe('cell');
  blobs.put(digest, { bytes, grade: 'everybody' }, 'thief.example/app');
  expect(blobs.get(digest, LOCAL)?.grade).toBe('everybody');
});
