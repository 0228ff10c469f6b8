/** `graft export --erofs FILE IMAGE`: the image beside the exported directory and GNU tar's tree; the same bytes each time. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { makeFaultImage } from '../../support/faults/image.ts';
import { graft, graftMust } from '../../support/graft.ts';
import { compareImage } from '../../support/images/erofs.ts';
import { makeImage } from '../../support/images/images.ts';
import { must, sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
let image: string;

beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
});
afterAll(() => dir.remove());

test('is the tree of the exported directory and of GNU tar, and the same each time', async () => {
  await graftMust(['export', image, dir.at('tree')]);
  const said = await graftMust(['export', '--erofs', dir.at('one.erofs'), image]);
  expect(said).toContain(`written to ${dir.at('one.erofs')} (3 layers`);
  await graftMust(['export', '--erofs', dir.at('two.erofs'), image]);
  expect(readFileSync(dir.at('one.erofs')).equals(readFileSync(dir.at('two.erofs')))).toBe(true);
  expect(await compareImage(dir.at('tree'), dir.at('one.erofs'), dir.at('mounted'))).toEqual([]);

  await graftMust(['export', '--tar', dir.at('one.tar'), image]);
  mkdirSync(dir.at('gnu'));
  const flags = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-xpf', dir.at('one.tar')];
  await must('tar', ['-C', dir.at('gnu'), ...flags]);
  expect(await compareImage(dir.at('gnu'), dir.at('two.erofs'), dir.at('again'))).toEqual([]);
});

test('of one layer is written without a tree, and is the same', async () => {
  await graftMust(['export', image, dir.at('one-tree')]);
  const flat = await makeImage(dir.at('flat'), 'flat', [dir.at('one-tree')]);
  const args = ['export', '--erofs', dir.at('flat.erofs'), flat.url];
  expect(await graftMust(args)).toContain('(1 layer');
  expect(await compareImage(dir.at('one-tree'), dir.at('flat.erofs'), dir.at('flat-mounted'))).toEqual([]);
});

test('replaces no file, and is one of three kinds of result', async () => {
  writeFileSync(dir.at('mine'), 'mine');
  const taken = await graft(['export', '--erofs', dir.at('mine'), image]);
  expect([taken.code, taken.stdout]).toEqual([1, expect.stringContaining('mine exists, and an export')]);
  expect(readFileSync(dir.at('mine'), 'utf8')).toBe('mine');
  for (const more of [['--tar', dir.at('y')], [dir.at('y')]]) {
    const ran = await graft(['export', '--erofs', dir.at('x'), image, ...more]);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('--erofs <file>')]);
  }
  expect(existsSync(dir.at('x'))).toBe(false);
});

test('is left nowhere when the disk is full', async () => {
  mkdirSync(dir.at('full'));
  await must('mount', ['-t', 'tmpfs', '-o', 'size=180k', 'tmpfs', dir.at('full')]);
  const ran = await graft(['export', '--erofs', dir.at('full/out'), image]);
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('has no room left')]);
  expect(await sh('ls -A "$1"', [dir.at('full')])).toBe('');
});
