import { describe, expect, test } from 'bun:test';
import { imageSentences } from '../../../../cmd/sentences/image.ts';

describe('the sentences about images', () => {
  test("are GrootFS's where its tests ask for exactly them", () => {
    expect(imageSentences.IMAGE_SOURCE_MISSING({ path: '/x' })).toBe("Image source doesn't exist");
    expect(imageSentences.IMAGE_SOURCE_DIRECTORY({ path: '/x' })).toBe(
      'invalid base image: directory provided instead of a tar file',
    );
  });

  test.each([
    [imageSentences.IMAGE_TAR_MISSING({ path: '/x.tar' }), 'stat /x.tar: no such file or directory'],
    [
      imageSentences.IMAGE_AMBIGUOUS({ transport: 'oci', path: '/d', names: 'a, b' }),
      'more than one image in oci, choose an image',
    ],
    [
      imageSentences.IMAGE_REF_MISSING({ path: '/d', ref: 'x', names: 'a' }),
      'no descriptor found for reference "x"',
    ],
    [
      imageSentences.IMAGE_URLS_FAILED({ digest: 'd', reasons: 'r' }),
      'failed fetching external blob from all urls',
    ],
    [
      imageSentences.IMAGE_EXCEEDS_LIMIT({ size: 316734553, limit: 209715200 }),
      'layers exceed disk quota 316734553/209715200 bytes',
    ],
    [imageSentences.IMAGE_SCHEMA1({ source: 's' }), 'converting V1 schema failed'],
  ])('hold the words operators search for: %s', (sentence, words) => {
    expect(sentence).toContain(words);
  });

  test('show no control characters of a path', () => {
    expect(imageSentences.IMAGE_TAR_MISSING({ path: '/\u001b[2J' })).not.toContain('\u001b');
    expect(imageSentences.IMAGE_REF_MISSING({ path: '/d', ref: '\n', names: '' })).not.toContain('\n');
  });

  test.each(['file', 'http', 'https', 'preloaded', 'preloaded+layer', 'foo'])(
    'say what to give instead of %s:',
    (scheme) => {
      expect(imageSentences.IMAGE_SCHEME({ scheme, argument: `${scheme}:x` })).toMatch(/give|check|knows/);
    },
  );
});
