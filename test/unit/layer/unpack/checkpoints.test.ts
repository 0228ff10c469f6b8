/**
 * Where the unpacking of a layer can be stopped. Long parts of it are one synchronous loop each; every one of them calls
 * the checkpoint, by which the thread sees that it is to end. Counted by calls and not by a clock.
 */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { unpackInto } from '../../../../lib/layer/unpack/unpack-into.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { chunksOf, openBelow, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const F = (name: string, content = ''): EntrySpec => ({ name, content });
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', link });
const many = (make: (i: number) => EntrySpec): EntrySpec[] => Array.from({ length: 500 }, (_, i) => make(i));

class Enough extends Error {}

/** How often the checkpoint is called for a layer; `stopAt` throws at that call. */
async function calls(
  name: string,
  entries: EntrySpec[],
  lowers?: string[],
  stopAt = Infinity,
): Promise<number> {
  let count = 0;
  const blob = tar(entries);
  await unpackInto(requestIn(dir.at(name), { lowers }), chunksOf(blob, blob.length), {
    checkpoint() {
      count += 1;
      if (count >= stopAt) throw new Enough();
    },
    largeWindow: () => Promise.resolve(),
  });
  return count;
}

/** Layers of a few entries more than `plain`, whose work is in one of the long loops. */
const plain = many((i) => F(`d/${i}`));
const LOOPS: Record<string, { more: EntrySpec[]; atLeast: number }> = {
  'entries that fit into one chunk': { more: [], atLeast: 500 },
  'a tree that a file replaces': { more: [F('d')], atLeast: 500 * 2 },
  'names of AUFS that go at the end': { more: many((i) => F(`.wh..wh.plnk/${i}`)), atLeast: 500 * 3 },
  'lines of the manifest that are taken back, and the sum of what is left': {
    more: [F('d/0')],
    // The entries; three times the lines; once more the lines for the sum.
    atLeast: 500 + 4 * 500,
  },
};

for (const [name, { more, atLeast }] of Object.entries(LOOPS)) {
  test(`${name}: every step can be the last`, async () => {
    const entries = [...plain, ...more];
    const whole = await calls('whole', entries);
    expect(whole).toBeGreaterThanOrEqual(atLeast);
    for (const at of [1, 250, Math.floor(whole / 2), whole - 250, whole]) {
      await expect(calls(`at-${at}`, entries, undefined, at)).rejects.toBeInstanceOf(Enough);
      expect(openBelow(dir.path)).toEqual([]);
    }
  });
}

test('copies of lower files can be stopped between their blocks, and links one by one', async () => {
  const base = requestIn(dir.at('base'));
  await unpack(base, tar([F('big', 'x'.repeat(100 * 65_536)), ...plain]));
  const lowers = [base.target];
  const block = await calls('one', [H('link', 'big')], lowers);
  expect(block).toBeGreaterThanOrEqual(100);
  await expect(calls('half', [H('link', 'big')], lowers, 50)).rejects.toBeInstanceOf(Enough);
  expect(
    await calls(
      'links',
      many((i) => H(`links/${i}`, `d/${i}`)),
      lowers,
    ),
  ).toBeGreaterThanOrEqual(500 * 3);
  expect(readdirSync(dir.at('half/target'))).not.toContain('link');
  expect(openBelow(dir.path)).toEqual([]);
});
