import { expect, test } from 'bun:test';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import { stackKey } from '../../../../lib/store/layout/layer-key.ts';
import { addToTotals, cleanIsDue, readCounted, readTotals } from '../../../../lib/store/records/totals.ts';
import { decodeCounted, shortKey, usedFileBytes } from '../../../../lib/store/records/totals-file.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const NOTHING = { committedBytes: 0, layerBytes: 0, factBytes: 0, fileBytes: 0 };
const keyOf = (name: string) => shortKey(stackKey([name]));

function image(store: Store, name: string, images: 1 | -1, fileBytes: number, fetchedBytes = 0): void {
  addToTotals(store, { fileBytes: fetchedBytes }, silentLogger, {
    stack: keyOf(name),
    images,
    fileBytes,
    fetchedBytes,
  });
}

function used(store: Store): number | undefined {
  const counted = readCounted(store, silentLogger);
  return counted && usedFileBytes(counted);
}

test('totals are one line again once they are many', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  for (let i = 0; i < 5000; i += 1) addToTotals(store, { committedBytes: 1, layerBytes: 2 }, silentLogger);
  expect(readTotals(store, silentLogger)).toEqual({ ...NOTHING, committedBytes: 5000, layerBytes: 10_000 });
  expect(readFileSync(store.layout.totals, 'utf8')).toBe('= 5000 10000 0 0\n');
  addToTotals(store, { committedBytes: -5000 }, silentLogger);
  expect([cleanIsDue(store, 10_000, silentLogger), cleanIsDue(store, 10_001, silentLogger)]).toEqual([
    true,
    false,
  ]);
});

test('what nobody reads is made short by who writes it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  appendFileSync(store.layout.totals, '+ 1 0 0 0\n'.repeat(26_300));
  image(store, 'a', 1, 7);
  expect(statSync(store.layout.totals).size).toBeLessThan(100);
  expect(readTotals(store, silentLogger)).toEqual({ ...NOTHING, committedBytes: 26_300 });
  expect(readCounted(store, silentLogger)?.stacks).toEqual(
    new Map([[keyOf('a'), { images: 1, fileBytes: 7, ownBytes: 0 }]]),
  );
});

test('many stacks are no reason to write the file at every look', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  for (let i = 0; i < 1000; i += 1) image(store, `stack ${i}`, 1, 1);
  readCounted(store, silentLogger);
  const { ino } = statSync(store.layout.totals);
  readCounted(store, silentLogger);
  expect(statSync(store.layout.totals).ino).toBe(ino);
});

test('stacks that nobody is on are forgotten, the oldest first', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  for (let i = 0; i < 1000; i += 1) {
    image(store, `stack ${i}`, 1, 1);
    image(store, `stack ${i}`, -1, 1);
  }
  readCounted(store, silentLogger);
  const { stacks } = readCounted(store, silentLogger) ?? {};
  expect(stacks?.size).toBe(200);
  expect(stacks?.has(keyOf('stack 800'))).toBe(true);
});

test('layers are in use while an image is on their stack, and each stack counts once', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  addToTotals(store, { fileBytes: 20 }, silentLogger);
  image(store, 'a', 1, 100, 100);
  image(store, 'a', 1, 100);
  image(store, 'b', 1, 30, 30);
  expect(used(store)).toBe(130);
  image(store, 'a', -1, 100);
  expect(used(store)).toBe(130);
  image(store, 'a', -1, 100);
  expect(used(store)).toBe(30);
  image(store, 'b', -1, 30);
  expect(used(store)).toBe(0);
  image(store, 'a', 1, 100);
  expect(used(store)).toBe(100);
});

test('of stacks on one base the base counts once, also when who brought it is gone', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  image(store, 'a', 1, 110, 110);
  for (const name of ['b', 'c']) image(store, name, 1, 110, 10);
  expect(used(store)).toBe(130);
  image(store, 'a', -1, 110);
  expect(used(store)).toBe(120);
  image(store, 'b', -1, 110);
  expect(used(store)).toBe(110);
  image(store, 'c', -1, 110);
  expect(used(store)).toBe(0);
});

test('layers that were pulled before belong to the stack that comes first', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  addToTotals(store, { fileBytes: 100 }, silentLogger);
  image(store, 'a', 1, 60);
  image(store, 'b', 1, 60);
  expect(used(store)).toBe(100);
});

test('what a clean counted is where the sums go on from', () => {
  const [a, b] = [keyOf('a'), keyOf('b')];
  const text = `= 0 0 0 130\n@ ${a} 2 110 110\n@ ${b} 1 110 10\n`;
  const usedAfter = (lines: string) => {
    const counted = decodeCounted(text + lines);
    return counted && usedFileBytes(counted);
  };
  const gone = (key: string) => `+ 0 0 0 0 ${key} -1 110 0\n`;
  expect(usedAfter('')).toBe(120);
  expect(usedAfter(gone(a))).toBe(120);
  expect(usedAfter(gone(a) + gone(a))).toBe(110);
  expect(usedAfter(gone(a) + gone(a) + gone(b))).toBe(0);
});

test('the deletion of an image whose making was lost takes nothing from one made later', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  addToTotals(store, { fileBytes: 50 }, silentLogger);
  image(store, 'a', -1, 50);
  image(store, 'a', 1, 50);
  expect(used(store)).toBe(50);
});

test.each([
  ['nothing', ''],
  ['no header', '+ 1 1 1 1\n'],
  ['two headers', '= 0 0 0 0\n= 0 0 0 0\n'],
  ['a header of an older graft', '= 0 0 0\n'],
  ['a cut line', '= 0 0 0 0\n+ 1 1'],
  ['a word', '= 0 0 0 0\n+ 1 1 1 x\n'],
  ['a stack without a name', '= 0 0 0 0\n@\n'],
  ['a number too many', '= 0 0 0 0\n+ 0 0 0 0 5\n'],
  ['less than nothing', '= 0 0 0 0\n+ 0 -1 0 0\n'],
])('%s are no totals, and a clean is due', async (_name, text) => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  writeFileSync(store.layout.totals, text);
  expect(readCounted(store, silentLogger)).toBeUndefined();
  expect(cleanIsDue(store, 1_000_000, silentLogger)).toBe(true);
});

test('limits that a number does not hold exactly add up', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  for (let i = 0; i < 3; i += 1) addToTotals(store, { committedBytes: 2 ** 53 - 4096 }, silentLogger);
  expect(readTotals(store, silentLogger)?.committedBytes).toBe(3 * (2 ** 53 - 4096));
});
