/** GrootFS's words, which operators search for and its own integration tests assert (its contract, section 18). */
import { describe, expect, test } from 'bun:test';
import { sentences } from '../../../../cmd/sentences/index.ts';
import { explain } from '../../../../cmd/sentences/report.ts';
import { bytesInWords, graft, shortBytes } from '../../../../cmd/sentences/words.ts';
import { type ErrorCode, PluginError, type PluginErrors } from '../../../../lib/base/errors/error.ts';

const say = <C extends ErrorCode>(code: C, subject: PluginErrors[C]) =>
  explain(new PluginError(code, subject), []).sentence;

describe('GrootFS’s words', () => {
  test.each([
    [say('STORE_NOT_INITIALIZED', { store: '/s' }), 'Store path is not initialized. Please run init-store.'],
    [say('IMAGE_EXISTS', { id: 'X' }), 'image for id `X` already exists'],
    [
      say('IMAGE_ID_INVALID', { id: 'this/is/not/okay', reason: 'contains invalid characters: `/`' }),
      'id `this/is/not/okay` contains invalid characters: `/`',
    ],
    [say('IMAGE_OUTSIDE_STORE', { path: '/a/b', store: '/s' }), 'path `/a/b` is outside store path'],
    [
      say('IMAGE_DELETE_FAILED', { path: '/s/images/x', at: '/s/images/x/diff', errno: 'EBUSY' }),
      "deleting image path '/s/images/x' failed",
    ],
    [say('QUOTA_LIMIT_TOO_SMALL', { limit: 1, size: 2 }), 'disk limit is smaller than volume size'],
    [say('STORE_BUSY', { what: 'the lock', seconds: 3 }), "timed out waiting for the lock after '3s'"],
    [
      say('STORE_MAPPING_MISMATCH', { kind: 'UID', wanted: 'a', stored: 'b' }),
      'provided UID mappings do not match those already configured in the store',
    ],
    [
      say('STORE_BAD_MAPPING', { mapping: 'x', kind: 'uid', reason: 'expected integer' }),
      "parsing uid-mapping 'x': expected integer",
    ],
  ])('%s', (sentence, words) => {
    expect(sentence).toStartWith(words);
  });

  test.each([
    [say('STORE_NOT_ROOT', { store: '/s' }), 'store /s can only be initialized by Root user'],
    [say('STORE_MISSING', { store: '/s' }), 'no store found at /s'],
    [say('IMAGE_NOT_FOUND', { id: 'X' }), 'Image `X` not found.'],
    [
      say('CONFIG_NEGATIVE', { what: 'clean threshold' }),
      'invalid argument: clean threshold cannot be negative',
    ],
    [say('CLI_CLEAN_CONFLICT', {}), 'with-clean and without-clean cannot be used together'],
  ])('exactly: %s', (sentence, words) => {
    expect(sentence).toBe(words);
  });
});

describe('every sentence', () => {
  /** Any fact as text: numbers where numbers are wanted are close enough to see the words around them. */
  const facts = new Proxy({}, { get: (_target, name) => (name === 'errno' ? 'ENOSPC' : 5) });

  test.each(Object.keys(sentences) as ErrorCode[])('%s is one line of words', (code) => {
    let sentence: string;
    try {
      sentence = (sentences[code] as (s: never) => string)(facts as never);
    } catch (error) {
      // Sentences that look into a text cannot be given a number; their own tests have them.
      expect(error).toBeInstanceOf(TypeError);
      return;
    }
    expect(sentence).toMatch(/^\S.*\S$/);
    expect(sentence).not.toMatch(/undefined|\[object|NaN|\n/);
  });
});

describe('numbers and commands', () => {
  test.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [8 * 1024 ** 2, '8 MiB'],
    [123.4 * 1024 ** 3, '123 GiB'],
    [2 ** 52, '4 PiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
  ])('%d bytes are %s', (bytes, words) => {
    expect(shortBytes(bytes)).toBe(words);
  });

  test('limits are exact and readable', () => {
    expect(bytesInWords(8388608)).toBe('8388608 bytes (8 MiB)');
    expect(bytesInWords(12)).toBe('12 bytes');
  });

  test('commands can be copied', () => {
    expect(graft('/a b', 'clean')).toBe("graft --store '/a b' clean");
    expect(graft("/it's", 'clean')).toBe("graft --store '/it'\\''s' clean");
    expect(graft('/var/lib/graft', 'clean')).toBe('graft --store /var/lib/graft clean');
  });
});
