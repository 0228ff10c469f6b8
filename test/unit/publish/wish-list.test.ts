/** Wish lists: what a wrong wish says, and which tags a wildcard stands for. */
import { describe, expect, test } from 'bun:test';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import {
  duccWishes,
  expandWildcard,
  isYamlList,
  plainWishes,
  type Wish,
} from '../../../lib/publish/wish-list.ts';
import { codeOf } from '../../support/images/unpack.ts';

const LIST = {
  version: 1,
  user: 'smosciat',
  cvmfs_repo: 'unpacked.example.org',
  output_format: '$(scheme)://registry.example.org/thin/$(image)',
  input: ['https://registry.example.org/library/fedora:latest', 'registry.example.org:5000/a/b:21.2*'],
};

/** The reference of a wish, or why it has none. */
function inWords(wish: Wish): string {
  if ('reference' in wish) return wish.reference;
  return isPluginError(wish.error, 'PUBLISH_WISH') ? wish.error.subject.reason : String(wish.error);
}
const wishesOf = (...input: unknown[]) => duccWishes({ input }, 'list').wishes.map(inWords);
const refusal = (document: unknown) => codeOf(Promise.resolve().then(() => duccWishes(document, 'list')));

describe('a list of DUCC', () => {
  test('has its repository, its format and its wishes, each once', () => {
    expect(duccWishes({ ...LIST, input: [...LIST.input, LIST.input[0]] }, 'list')).toEqual({
      repository: 'unpacked.example.org',
      outputFormat: LIST.output_format,
      wishes: [
        { shown: LIST.input[0] ?? '', reference: 'docker://registry.example.org/library/fedora:latest' },
        { shown: LIST.input[1] ?? '', reference: 'docker://registry.example.org:5000/a/b:21.2*' },
      ],
    });
  });

  test.each([
    [[]],
    ['text'],
    [{ version: 1 }],
    [{ input: 'one' }],
    [{ input: [], version: 2 }],
    [{ input: [], cvmfs_repo: 7 }],
    [{ input: [], images: [] }],
  ])('that is %j is refused', async (document) => {
    expect(await refusal(document)).toBe('PUBLISH_WISH_LIST');
  });
});

describe('a wish', () => {
  test('that is wrong says why, and the others stay', () => {
    expect(
      wishesOf(
        7,
        { a: 1 },
        null,
        '',
        'a b/c',
        'fedora:latest',
        'https://r.example.org/a*/b:1',
        'r.example.org/a:1',
      ),
    ).toEqual([
      'it is no text',
      'it is no text',
      'it is no text',
      'it is empty',
      'it has blanks in it',
      'it names no registry',
      'a * can only be in the tag',
      'docker://r.example.org/a:1',
    ]);
  });

  test('with a password is refused, and the password is shown nowhere', () => {
    const { wishes } = duccWishes({ input: ['https://user:secret@r.example.org/a:1'] }, 'list');
    expect(JSON.stringify(wishes)).not.toContain('secret');
    expect(wishes.map(inWords)).toEqual(['a list is no place for a password']);
  });

  test('by digest, with a port, or of a layout is a reference', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(
      wishesOf(`https://r.example.org:5000/a@${digest}`, 'oci:///srv/layout:a', 'docker://r.example.org/a'),
    ).toEqual([`docker://r.example.org:5000/a@${digest}`, 'oci:///srv/layout:a', 'docker://r.example.org/a']);
  });
});

test('a plain list has a reference in each line', () => {
  const text = '# images\n\n docker://r.example.org/a:1 \r\nr.example.org/b:2*\n';
  expect(isYamlList(text)).toBe(false);
  expect(isYamlList('cvmfs_repo: x\ninput: []\n')).toBe(true);
  expect(plainWishes(text, 'list').wishes.map(inWords)).toEqual([
    'docker://r.example.org/a:1',
    'docker://r.example.org/b:2*',
  ]);
});

describe('a wildcard', () => {
  const tags = ['21.2.1', '21.2.10', '21x2.1', '22.1', 'latest', 'a-b-c'];
  const expand = (tag: string) => expandWildcard(`docker://r.example.org:5000/a:${tag}`, tags);

  test('stands for any characters in the tag, and nothing else is special', () => {
    expect(expand('21.2*')).toEqual([
      'docker://r.example.org:5000/a:21.2.1',
      'docker://r.example.org:5000/a:21.2.10',
    ]);
    expect(expand('*')).toHaveLength(tags.length);
    expect(
      expand('a*b*c')
        .concat(expand('*test'))
        .map((one) => one.split(':').at(-1)),
    ).toEqual(['a-b-c', 'latest']);
  });

  test('that overlaps itself fits no tag twice', async () => {
    expect(await codeOf(Promise.resolve().then(() => expandWildcard('r/a:ab*ba', ['aba'])))).toBe(
      'PUBLISH_WISH',
    );
    expect(expandWildcard('r/a:ab*ba', ['abba'])).toEqual(['r/a:abba']);
  });

  test('for no tag, or for too many, is an error', async () => {
    const many = Array.from({ length: 5001 }, (_, i) => `t${i}`);
    for (const list of [[], ['other'], many])
      expect(await codeOf(Promise.resolve().then(() => expandWildcard('r/a:t*', list)))).toBe('PUBLISH_WISH');
  });

  test('with a hundred stars against a long tag is quick', () => {
    const pattern = `r/a:${'a*'.repeat(60)}b`;
    expect(() => expandWildcard(pattern, ['a'.repeat(128)])).toThrow();
  });
});
