/** Somebody else's words, made fit for a sentence (hostile row 60). */
import { describe, expect, test } from 'bun:test';
import { oneLine, printable } from '../../../lib/base/text.ts';

describe('one line', () => {
  test.each([
    ['line breaks of every kind', 'a\nb\r\nc\u2028d\u2029e\u0085f', 'a b c d e f'],
    ['control sequences of a terminal', '\u001b[31mred\u0007\u009b0m', '[31mred 0m'],
    ['what turns the direction', 'a\u202eb\u2066c\u200fd\u061ce', 'abcde'],
    ['what is not seen', 'a\u200bb\u2060c\ufeffd', 'abcd'],
    ['letters of all the world', 'für 漢字 😀', 'für 漢字 😀'],
  ])('%s', (_what, text, line) => {
    expect(oneLine(text)).toBe(line);
  });

  test('is cut where it was asked to be', () => {
    expect(oneLine('x'.repeat(500))).toBe(`${'x'.repeat(400)}…`);
    expect(oneLine('abcdef', 3)).toBe('abc…');
  });
});

test('a name keeps what it has, as escapes: two different names never look the same', () => {
  expect(printable('a\u202eb\n')).toBe('a\\u{202e}b\\u{a}');
  expect(printable(new Uint8Array([0x61, 0xff]))).toBe('a\\xff');
});
