import { expect, test } from 'bun:test';
import { fitsWildcard } from '../../../lib/base/wildcard.ts';

test.each([
  ['docker:///team/app:1', 'docker:///team/*', true],
  ['docker:///team/app:1', 'docker:///team/app:1', true],
  ['docker:///team/app:1', 'docker:///team/app', false],
  ['docker:///team/app:1', '*', true],
  ['docker:///team/app:1', '*app*', true],
  ['docker:///team/app:1', '*app', false],
  ['aba', 'ab*ba', false],
  ['abba', 'ab*ba', true],
  ['', '*', true],
  ['', '', true],
  ['x', '', false],
  ['a.c', 'a.c', true],
  ['abc', 'a.c', false],
])('%s and %s', (text, pattern, fits) => expect(fitsWildcard(text, pattern)).toBe(fits));

test('a hostile pattern takes no time that grows with its wildcards', () => {
  expect(fitsWildcard('a'.repeat(4096), `${'a*'.repeat(2000)}b`)).toBe(false);
});
