import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { lsetxattr } from '../../lib/sys/kernel/files.ts';
import { compareTrees, readTree } from '../support/images/compare-trees.ts';
import { must, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

function fill(root: string): void {
  mkdirSync(`${root}/d`, { recursive: true });
  for (const name of ['f', 'd/one', 'd/two']) writeFileSync(`${root}/${name}`, 'content', { mode: 0o644 });
  linkSync(`${root}/f`, `${root}/hard`);
  symlinkSync('f', `${root}/soft`);
  lutimesSync(`${root}/soft`, 1000, 1000);
  lsetxattr(`${root}/d/one`, 'user.note', Buffer.from('kept'));
  for (const name of ['f', 'd/one', 'd/two', 'd', '']) utimesSync(`${root}/${name}`, 1000, 1000);
}

function pair(): [string, string] {
  const roots: [string, string] = [dir.at('a'), dir.at('b')];
  for (const root of roots) fill(root);
  return roots;
}

describe('compareTrees', () => {
  test('finds nothing in two trees that are the same', () => {
    const [a, b] = pair();
    expect(compareTrees(a, b)).toEqual([]);
    expect([...readTree(a).keys()].sort()).toEqual(['/', '/d', '/d/one', '/d/two', '/f', '/hard', '/soft']);
  });

  const changes: [string, (root: string) => unknown, RegExp][] = [
    ['a missing name', (root) => rmSync(`${root}/soft`), /^\/soft: only in .*\/a$/],
    ['a name too many', (root) => mkdirSync(`${root}/e`), /^\/e: only in .*\/b$/],
    ['content of the same size', (root) => writeFileSync(`${root}/d/two`, 'CONTENT'), /^\/d\/two: content: /],
    ['a mode', (root) => chmodSync(`${root}/d/two`, 0o4755), /^\/d\/two: mode: 644 and 4755$/],
    ['an owner', (root) => chownSync(`${root}/d/two`, 0, 7), /^\/d\/two: owner: 0:0 and 0:7$/],
    [
      'a nanosecond',
      (root) => sh('touch -hd @1000.000000001 $1/soft', [root]),
      /^\/soft: mtime: 1000000000000 and 1000000000001$/,
    ],
    [
      'an xattr value',
      (root) => lsetxattr(`${root}/d/one`, 'user.note', Buffer.from('lost')),
      /^\/d\/one: xattr user.note: /,
    ],
    [
      'an xattr of a link',
      (root) => sh('setfattr -h -n trusted.x -v 1 $1/soft', [root]),
      /^\/soft: xattr trusted.x: none and 31$/,
    ],
    [
      'who is linked to whom',
      (root) => sh('ln -f $1/d/one $1/d/two; setfattr -n user.note -v kept $1/d/two', [root]),
      /linked together: none and \/d\/one \/d\/two$/,
    ],
    [
      'a link target',
      (root) => sh('ln -sfn g $1/soft; touch -hd @1000 $1/soft', [root]),
      /^\/soft: target: f and g$/,
    ],
    [
      'a type',
      (root) => sh('rm $1/d/two; mkfifo -m 644 $1/d/two; touch -d @1000 $1/d/two', [root]),
      /^\/d\/two: type: file and fifo$/,
    ],
  ];
  test.each(changes)('sees %s', async (_, change, sentence) => {
    const [a, b] = pair();
    await change(b);
    const found = compareTrees(a, b, { directoryTimes: false });
    expect(found.some((line) => sentence.test(line))).toBe(true);
  });

  test('sees device numbers, and names that are not UTF-8', async () => {
    const [a, b] = pair();
    await must('mknod', [`${a}/dev`, 'c', '1', '3']);
    await must('mknod', [`${b}/dev`, 'c', '1', '5']);
    await sh('touch "$1/$(printf "\\377")"', [b]);
    const found = compareTrees(a, b, { directoryTimes: false });
    expect(found).toContain('/dev: device: 259 and 261');
    expect(found.some((line) => line.startsWith('/\\xff: only in'))).toBe(true);
  });

  test('leaves out what it is told to, and no more', async () => {
    const [a, b] = pair();
    utimesSync(`${b}/d`, 2000, 2000);
    writeFileSync(`${b}/d/three`, '');
    expect(compareTrees(a, b, { directoryTimes: false })).toEqual([`/d/three: only in ${b}`]);
    expect(compareTrees(a, b, { ignore: ['/d'] })).toEqual([]);
  });
});
