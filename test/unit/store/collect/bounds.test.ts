/** What the store remembers ends: by age, by its total, oldest first; and never what a running create looks at. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { digestOf } from '../../../../lib/base/digest.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { PartialDirectory } from '../../../../lib/registry/blobs/partial.ts';
import { boundFacts, factBytes } from '../../../../lib/store/collect/bounds.ts';
import { cvmfsKey } from '../../../../lib/store/layout/layer-key.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const DAY = 24 * 3600;
const MiB = 1024 ** 2;
const ago = (path: string, days: number) => utimesSync(path, 0, Date.now() / 1000 - days * DAY);

test('by age, whatever the total is, and from the future too', async () => {
  await using scratch = await scratchStore();
  const { layout } = scratch.store;
  for (const directory of [layout.blobs, layout.stacks, layout.sources]) {
    for (const [name, days] of Object.entries({ fresh: 29, old: 31, future: -31 })) {
      writeFileSync(`${directory}/${name}`, 'x');
      ago(`${directory}/${name}`, days);
    }
    mkdirSync(`${directory}/directory`);
    ago(`${directory}/directory`, 31);
  }
  expect(boundFacts(layout)).toBe(9);
  for (const directory of [layout.blobs, layout.stacks, layout.sources])
    expect(readdirSync(directory)).toEqual(['fresh']);
});

test('by total, the oldest first', async () => {
  await using scratch = await scratchStore();
  const { layout } = scratch.store;
  for (let days = 0; days < 5; days += 1) {
    writeFileSync(`${layout.sources}/${days}`, Buffer.alloc(20 * MiB, 'x'));
    ago(`${layout.sources}/${days}`, days);
  }
  expect(factBytes(layout)).toBeGreaterThanOrEqual(100 * MiB);
  expect(boundFacts(layout)).toBe(2);
  expect(readdirSync(layout.sources).sort()).toEqual(['0', '1', '2']);
});

test('what a live lease names of CVMFS stays, however old', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const keys = ['a', 'b'].map((text) => cvmfsKey({ content: digestOf(text), place: [] }));
  for (const key of keys) {
    writeFileSync(`${store.layout.cvmfsRecords}/${key}`, 'x');
    ago(`${store.layout.cvmfsRecords}/${key}`, 91);
  }
  using _lease = new Lease(store.layout, undefined, keys.slice(0, 1));
  expect(boundFacts(store.layout)).toBe(1);
  expect<unknown>(readdirSync(store.layout.cvmfsRecords)).toEqual(keys.slice(0, 1));
});

test('beginnings of downloads have a total, what was longest left alone first', async () => {
  await using scratch = await scratchStore();
  const { partial } = scratch.store.layout;
  const names = ['a', 'b', 'c'].map((text) => digestOf(text).slice('sha256:'.length));
  for (const [hours, name] of names.entries()) {
    writeFileSync(`${partial}/${name}`, Buffer.alloc(MiB, 'x'));
    ago(`${partial}/${name}`, hours / 24);
  }
  expect(
    new PartialDirectory(partial, silentLogger, undefined).collect(DAY * 1000, 2 * MiB),
  ).toBeGreaterThanOrEqual(MiB);
  expect(readdirSync(partial).sort()).toEqual(names.slice(0, 2).sort());
});
