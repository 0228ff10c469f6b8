/** Paths below an anchored tree are resolved from directories that were opened before, whatever has their names now. */
import { expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { removeTree } from '../../../../lib/sys/files/remove-tree.ts';
import { anchoredName, anchoredTarget, anchorTree, letGoOf } from '../../../../lib/sys/kernel/anchor.ts';
import { close, mkdirAt, openAt, renameAt, symlinkAt, unlinkAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';
import { exists, listNames } from '../../../../lib/sys/kernel/look.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const FIXED = new Set(['tmp', 'meta', 'meta/in']);

function anchored(dir: TempDir, opened: string[] = []): Disposable {
  for (const name of FIXED) mkdirSync(dir.at('tree', name), { recursive: true });
  mkdirSync(dir.at('elsewhere'));
  let root = AT_FDCWD;
  return anchorTree({
    root: dir.at('tree'),
    fixed: FIXED,
    open: (name) => {
      opened.push(name);
      const fd = openAt(root, name === '' ? dir.at('tree') : name, O.PATH | O.DIRECTORY);
      if (name === '') root = fd;
      return fd;
    },
  });
}

test('a directory is opened when it is wanted, once, and the longest one that fits', async () => {
  await using dir = tempDir();
  const opened: string[] = [];
  using _ = anchored(dir, opened);
  expect(opened).toEqual(['']);
  writeFileSync(dir.at('tree/meta/in/file'), 'x');
  expect(exists(dir.at('tree/meta/in/file'))).toBe(true);
  expect(listNames(dir.at('tree/meta/in'))).toEqual(['file']);
  expect(exists(dir.at('tree/meta'))).toBe(true);
  expect(exists(dir.at('tree/other/in'))).toBe(false);
  expect(opened).toEqual(['', 'meta/in', 'meta']);
  expect(anchoredName(AT_FDCWD, dir.at('tree/meta'))[1]).toBe('meta');
  expect(anchoredTarget(AT_FDCWD, dir.at('tree/meta'))[1]).toBe('.');
  for (const path of [dir.at('treetop'), dir.at('elsewhere'), 'tmp/x', dir.at('tree')])
    expect(anchoredName(AT_FDCWD, path)).toEqual([AT_FDCWD, path]);
  expect(anchoredName(5, dir.at('tree/tmp/x'))[0]).toBe(5);
});

test('links that take the place of an open directory lead nowhere', async () => {
  await using dir = tempDir();
  using _ = anchored(dir);
  for (const name of ['tmp', 'meta/in', '.']) exists(dir.at('tree', name));
  renameSync(dir.at('tree/tmp'), dir.at('tree/was-tmp'));
  symlinkSync(dir.at('elsewhere'), dir.at('tree/tmp'));
  renameSync(dir.at('tree'), dir.at('was-tree'));
  symlinkSync(dir.at('elsewhere'), dir.at('tree'));
  for (const name of ['a', 'b', 'c']) mkdirSync(dir.at('elsewhere', name));
  writeFileSync(dir.at('elsewhere/a/kept'), 'kept');
  mkdirAt(AT_FDCWD, dir.at('tree/tmp/a'), 0o700);
  symlinkAt('target', AT_FDCWD, dir.at('tree/tmp/link'));
  close(openAt(AT_FDCWD, dir.at('tree/tmp/file'), O.WRONLY | O.CREAT | O.EXCL, 0o600));
  renameAt(AT_FDCWD, dir.at('tree/tmp/a'), AT_FDCWD, dir.at('tree/meta/in/a'));
  removeTree(AT_FDCWD, dir.at('tree/tmp/a'));
  unlinkAt(AT_FDCWD, dir.at('tree/tmp/link'));
  expect(readdirSync(dir.at('elsewhere')).sort()).toEqual(['a', 'b', 'c']);
  expect(readFileSync(dir.at('elsewhere/a/kept'), 'utf8')).toBe('kept');
  expect(readdirSync(dir.at('was-tree/was-tmp'))).toEqual(['file']);
  expect(existsSync(dir.at('was-tree/meta/in/a'))).toBe(true);
});

test('a tree that is let go of, or anchored anew, is found by its names again', async () => {
  await using dir = tempDir();
  anchored(dir);
  letGoOf(dir.at('tree'));
  expect(anchoredName(AT_FDCWD, dir.at('tree/tmp/x'))).toEqual([AT_FDCWD, dir.at('tree/tmp/x')]);
});
