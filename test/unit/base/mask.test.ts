import { describe, expect, test } from 'bun:test';
import { mask, maskFacts } from '../../../lib/base/mask.ts';

describe('a secret in a text', () => {
  test.each([
    ['long: anywhere', 'hunter2222', 'xhunter2222y hunter2222', 'x***y ***'],
    [
      'short: as a word',
      'pass1',
      'no pass1, pass12, xpass1; "pass1" pass1',
      'no ***, pass12, xpass1; "***" ***',
    ],
    ['short, in letters of another script', 'pass', 'épass passé pass', 'épass passé ***'],
    [
      'one letter: never inside words',
      'a',
      'a layer of an image has a bad name',
      'a layer of an image has a bad name',
    ],
    [
      'one letter: as a value',
      'a',
      `user:a@host "a" 'a' x=a a=x password: a`,
      `user:***@host "***" '***' x=*** ***=x password: ***`,
    ],
    ['one letter: the whole text', 'a', 'a', '***'],
    ['twice, side by side', 'aaaaaaaa', 'aaaaaaaaaaaaaaaa', '******'],
    ['none', '', 'text', 'text'],
    ['with characters of regular expressions', '$&.*(', 'no $&.*( here', 'no *** here'],
  ])('%s', (_name, secret, text, masked) => {
    expect(mask(text, secret)).toBe(masked);
  });

  test('goes in each form in which facts hold it', () => {
    const secret = 'p\u202eä"ss/w';
    const facts = {
      plain: `x ${secret}`,
      escaped: 'x p\\u{202e}ä"ss/w',
      url: `http://u:${encodeURIComponent(secret)}@h`,
      json: [JSON.stringify({ secret })],
      count: 3,
      deep: { nothing: undefined, at: `${secret}!` },
    };
    expect(maskFacts(facts, [secret])).toEqual({
      plain: 'x ***',
      escaped: 'x ***',
      url: 'http://u:***@h',
      json: ['{"secret":"***"}'],
      count: 3,
      deep: { nothing: undefined, at: '***!' },
    });
  });

  test('that is no text leaves facts as they are', () => {
    const facts = { a: 1 };
    expect(maskFacts(facts, [])).toBe(facts);
    expect(maskFacts({ a: 'half=\ud800' }, ['\ud800'])).toEqual({ a: 'half=***' });
  });
});
