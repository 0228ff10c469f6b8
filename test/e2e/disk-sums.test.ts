/** Random images come and go: what `usage` adds up is what du(1) counts. */
import { expect, test } from 'bun:test';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';

const KiB = 1024;
const SEED = 20_261_130;

function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function entriesOf(roll: (below: number) => number, image: number): EntrySpec[] {
  const entries: EntrySpec[] = [];
  for (let i = 0; i < 60; i += 1) {
    const name = `${image}/${'deep/'.repeat(roll(12))}${i}`;
    const content = Buffer.alloc(roll(3) === 0 ? 0 : roll(60_000), i);
    const pax = roll(4) === 0 ? { 'SCHILY.xattr.user.x': Buffer.alloc(roll(30_000), 'v') } : undefined;
    entries.push({ name, content, ...(pax ? { pax } : {}) });
    if (roll(5) === 0) entries.push({ name: `${image}/link${i}`, type: '1', link: name });
    if (roll(9) === 0) entries.push({ name: `${image}/.wh.gone${i}` });
    if (roll(9) === 0) entries.push({ name, content: 'again' });
  }
  return entries;
}

test(`after creates, deletes and a clean (seed ${SEED})`, async () => {
  await using store = await testStore();
  const roll = dice(SEED);
  for (let image = 0; image < 6; image += 1) {
    writeFileSync(store.dir.at(`${image}.tar`), tar(entriesOf(roll, image)));
    const { root } = JSON.parse(await store.must(['create', store.dir.at(`${image}.tar`), `c${image}`]));
    // A container writes, also where it has no limit: a file with a hole and one with names in two places.
    writeFileSync(`${root.path}/written`, Buffer.alloc(roll(400_000), 'w'));
    truncateSync(`${root.path}/written`, 2 ** 33);
    mkdirSync(`${root.path}/d`);
    if (image % 2 === 0) await store.must(['delete', `c${roll(image + 1)}`]);
  }
  // The beginning of a download that was killed.
  writeFileSync(`${store.path}/meta/partial/${'a'.repeat(64)}`, Buffer.alloc(700 * KiB, 'p'));
  await store.must(['clean']);
  const { counted } = JSON.parse(await store.must(['usage', '--json']));
  await must('sync', ['-f', store.path]);
  const [kib = ''] = (await must('du', ['-xsk', store.path])).split('\t');
  const found = Number(kib) * KiB;
  expect(counted.layers).toBeGreaterThan(3 * KiB * KiB);
  expect(Math.abs(found - counted.sum)).toBeLessThan(found / 100 + 256 * KiB);
});
