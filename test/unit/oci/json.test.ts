import { describe, expect, test } from 'bun:test';
import { JsonRefused, parseJson } from '../../../lib/oci/json.ts';

const parse = (text: string | Uint8Array) => parseJson(Buffer.from(text), 1 << 20);

function reason(text: string | Uint8Array): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof JsonRefused) return error.message;
    throw error;
  }
  throw new Error('accepted');
}

describe('parseJson', () => {
  test.each([
    '{}',
    '[]',
    ' { "a" : [ 1 , { "b" : "}" } ] , "c" : { "a" : null } } ',
    '{"a":"\\"","b":"\\\\","c\\"":1,"c":2}',
    '{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":2}]}',
    '["a","a",{"a":"a"}]',
    '{"k":"k","v":"k"}',
    '"text"',
    '{"é":"\\u00e9"}',
    '{"a\\u0000":1,"a":2}',
  ])('reads %s as JSON.parse does', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test.each([
    ['{"a":1,"a":2}', 'a key twice, at byte 7 again'],
    ['{"digest":1,"di\\u0067est":2}', 'a key twice, at byte 12 again'],
    ['{"x":[{"y":{"size":1,\n"size"\t:2}}]}', 'a key twice, at byte 22 again'],
    ['{"a":{},"b":[],"a":{}}', 'a key twice, at byte 15 again'],
    ['{"__proto__":{}}', '__proto__'],
    ['{"a":[{"__proto__" :1}]}', '__proto__'],
    ['{"\\u005f_proto__":1}', '__proto__'],
  ])('refuses %s', (text, words) => {
    expect(reason(text)).toContain(words);
  });

  test.each([
    '',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1,}',
    '{"a',
    '"\\',
    '}',
    ']{',
    '{"a"::1}',
    '{"\\x":1}',
    'nul',
    '<html>',
    '{} {}',
    "{'a':1}",
  ])('refuses %j', (text) => {
    expect(reason(text)).toBe('it is not JSON');
  });

  test.each([
    ['1e3', Number.NaN],
    ['[1.0,2,{"a":-3E2,"b":"1e3","c":true}]', [Number.NaN, 2, { a: Number.NaN, b: '1e3', c: true }]],
    ['[12,-5,0]', [12, -5, 0]],
  ])('takes no number with a fraction or an exponent for an integer: %s', (text, value) => {
    expect(parse(text)).toEqual(value);
  });

  test('an error quotes nothing of the document', () => {
    expect(reason('<html>token=hunter2')).not.toContain('hunter2');
  });

  test('refuses what is not UTF-8, and a byte order mark', () => {
    expect(reason(Buffer.from([0x22, 0xff, 0x22]))).toBe('it is not JSON');
    expect(reason(Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]))).toBe('it is not JSON');
    expect(reason(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))).toBe('it is not JSON');
  });

  test('reads 64 levels and refuses the 65th', () => {
    expect(parse('['.repeat(64) + ']'.repeat(64))).toBeArray();
    expect(reason('['.repeat(65) + ']'.repeat(65))).toContain('64 levels');
    expect(reason('{"a":'.repeat(100_000))).toContain('64 levels');
  });

  test('reads up to its ceiling and not a byte more', () => {
    const exact = Buffer.from(`"${'x'.repeat(98)}"`);
    expect(parseJson(exact, 100)).toBeString();
    expect(() => parseJson(Buffer.concat([exact, Buffer.from(' ')]), 100)).toThrow(JsonRefused);
  });

  test('takes 4 MiB of keys', () => {
    const keys = Array.from({ length: 300_000 }, (_, at) => `"k${at}":0`).join(',');
    const parsed = parseJson(Buffer.from(`{${keys}}`), 8 << 20) as Record<string, number>;
    expect(Object.keys(parsed).length).toBe(300_000);
  });
});
