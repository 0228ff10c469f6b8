/** Sets of paths by component: what covers what, and what removing leaves. */
import { expect, test } from 'bun:test';
import type { ByteName } from '../../../lib/base/bytes.ts';
import { NameSet } from '../../../lib/base/name-set.ts';

const name = (text: string) => text as ByteName;
const set = (...names: string[]) => new NameSet(names.map(name));

test('a member covers itself and what is below it, and no name that only begins like it', () => {
  const names = set('a/b');
  expect(['a/b', 'a/b/c', 'a', 'a/bc', 'b'].map((text) => names.covers(name(text)))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('a removed member covers nothing, and members above, below and beside it stay', () => {
  const names = set('a', 'a/b', 'a/b/c', 'd/e', 'd/f');
  for (const gone of ['a', 'a/b', 'd/e', 'd', 'x/y', 'd/f/g']) names.delete(name(gone));
  expect(['a', 'a/b', 'a/b/c/d', 'd/e', 'd/f'].map((text) => names.covers(name(text)))).toEqual([
    false,
    false,
    true,
    false,
    true,
  ]);
});

test('what a removed member needed is told as new when it comes again', () => {
  const names = set('a/b/c', 'a/d');
  names.delete(name('a/b/c'));
  const told: string[] = [];
  names.add(name('a/b/c'), (path) => told.push(path));
  expect(told).toEqual(['a/b', 'a/b/c']);
});
