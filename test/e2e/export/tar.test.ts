/** `graft export --tar FILE IMAGE`: the archive beside the directory, read by others, the same bytes each time. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { makeFaultImage } from '../../support/faults/image.ts';
import { executable, graft, graftMust } from '../../support/graft.ts';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { makeImage } from '../../support/images/images.ts';
import { tar } from '../../support/images/tar-writer.ts';
import { cleanEnv, must, run, sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const USER = 1000;
let dir: TempDir;
let image: string;

beforeAll(async () => {
  dir = tempDir();
  chmodSync(dir.path, 0o755);
  image = await makeFaultImage(dir.at('layout'));
});
afterAll(() => dir.remove());

test('is the tree of the exported directory, for GNU tar, umoci and graft, and the same each time', async () => {
  await graftMust(['export', image, dir.at('tree')]);
  const said = await graftMust(['export', '--tar', dir.at('one.tar'), image]);
  expect(said).toContain(`written to ${dir.at('one.tar')} (3 layers`);
  await graftMust(['export', '--tar', dir.at('two.tar'), image]);
  expect(readFileSync(dir.at('one.tar')).equals(readFileSync(dir.at('two.tar')))).toBe(true);
  mkdirSync(dir.at('gnu'));
  const flags = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-xpf', dir.at('one.tar')];
  await must('tar', ['-C', dir.at('gnu'), ...flags]);
  expect(compareTrees(dir.at('tree'), dir.at('gnu'))).toEqual([]);
  await graftMust(['export', dir.at('one.tar'), dir.at('again')]);
  expect(compareTrees(dir.at('tree'), dir.at('again'))).toEqual([]);
  const copy = await makeImage(dir.at('copy'), 'copy', [dir.at('gnu')]);
  await must('umoci', ['raw', 'unpack', '--image', copy.name, dir.at('umoci')]);
  expect(compareTrees(dir.at('tree'), dir.at('umoci'))).toEqual([]);
});

test('of an ordinary user has closed directories and unreadable files', async () => {
  mkdirSync(dir.at('user'));
  chownSync(dir.at('user'), USER, USER);
  const entries = [
    { name: 'closed/', type: '5', mode: 0o000 },
    { name: 'closed/secret', content: 'x', mode: 0o000 },
    { name: 'plain', content: 'y', uid: 5 },
  ];
  writeFileSync(dir.at('closed.tar'), tar(entries));
  const user = ['--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups', executable()];
  const args = ['export', '--tar', dir.at('user/out.tar'), dir.at('closed.tar')];
  const ran = await run('setpriv', [...user, ...args], { env: cleanEnv() });
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('the owners of')]);
  const listed = await must('tar', ['--numeric-owner', '-tvf', dir.at('user/out.tar')]);
  const lines = listed.split('\n').map((line) => line.replace(/ +\d+ \d{4}-\S+ \S+ /, ' '));
  expect(lines.slice(1, 4)).toEqual([
    `-rw-r--r-- ${USER}/${USER} ./plain`.replace('./', ''),
    `d--------- ${USER}/${USER} closed/`,
    `---------- ${USER}/${USER} closed/secret`,
  ]);
  expect(readdirSync(dir.at('user'))).toEqual(['out.tar']);
});

test('replaces no file, and is no answer on standard output', async () => {
  writeFileSync(dir.at('mine.tar'), 'mine');
  const taken = await graft(['export', '--tar', dir.at('mine.tar'), image]);
  expect([taken.code, taken.stdout]).toEqual([1, expect.stringContaining('mine.tar exists, and an export')]);
  expect(readFileSync(dir.at('mine.tar'), 'utf8')).toBe('mine');
  for (const args of [
    ['export', image],
    ['export', '--tar', dir.at('x'), image, dir.at('y')],
  ]) {
    const ran = await graft(args);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('export --tar <file>')]);
  }
  expect(existsSync(dir.at('x'))).toBe(false);
});

test('is left nowhere when the disk is full', async () => {
  mkdirSync(dir.at('full'));
  await must('mount', ['-t', 'tmpfs', '-o', 'size=180k', 'tmpfs', dir.at('full')]);
  const ran = await graft(['export', '--tar', dir.at('full/out.tar'), image]);
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('has no room left')]);
  expect(await sh('ls -A "$1"', [dir.at('full')])).toBe('');
});
