import { describe, expect, test } from 'bun:test';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { formatReference, parseImageReference, savedName } from '../../../lib/oci/reference.ts';
import { findSavedImage, parseSavedImages, type SavedImage } from '../../../lib/oci/saved-images.ts';

function failure(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof PluginError) return [error.code, error.subject];
    throw error;
  }
}

const parse = (document: unknown) =>
  parseSavedImages(
    Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)),
    'archive',
  );
const ONE = {
  Config: 'a.json',
  RepoTags: ['busybox:latest', 'example.org:5000/app:1'],
  Layers: ['a/layer.tar'],
};
const TWO = { Config: 'b.json', RepoTags: null, Layers: null };

describe('the list of an archive', () => {
  test('has configuration, names and layers, and null for none', () => {
    expect(parse([ONE, TWO])).toEqual([
      { config: 'a.json', tags: ['busybox:latest', 'example.org:5000/app:1'], layers: ['a/layer.tar'] },
      { config: 'b.json', tags: [], layers: [] },
    ]);
  });

  test('is read as Go reads it: keys in any case, others are ignored', () => {
    expect(parse([{ config: 'a.json', LAYERS: ['x'], LayerSources: { a: 1 }, Parent: 'p' }])).toEqual([
      { config: 'a.json', tags: [], layers: ['x'] },
    ]);
  });

  test.each([
    ['not JSON', '[{', 'it is not JSON'],
    ['an object', {}, 'must be array'],
    ['without a configuration', [{ Layers: [] }], "must have required property 'Config'"],
    ['with a layer that is a number', [{ Config: 'a', Layers: [1] }], 'must be string'],
    ['with a key twice', '[{"Config":"a","config":"b"}]', 'twice'],
  ])('that is %s is refused', (_what, document, reason) => {
    const [code, subject] = failure(() => parse(document)) as [string, { source: string; reason: string }];
    expect([code, subject.source]).toEqual(['IMAGE_BAD_MANIFEST', 'archive']);
    expect(subject.reason).toContain(reason);
  });

  test('with more layers than an image may have is refused', () => {
    const layers = Array.from({ length: 1001 }, (_, at) => `${at}`);
    expect(failure(() => parse([{ Config: 'a', Layers: layers }]))).toEqual([
      'IMAGE_TOO_MANY_LAYERS',
      { layers: 1001, limit: 1000 },
    ]);
  });
});

describe('an image of the list', () => {
  const images: readonly SavedImage[] = parse([ONE, TWO]);
  const [one, two] = images;

  test('is found by name and tag as docker reads them, and by position', () => {
    for (const ref of [
      'busybox',
      'busybox:latest',
      'docker.io/library/busybox',
      'example.org:5000/app:1',
      '@0',
    ])
      expect(findSavedImage(images, ref, '/a')).toBe(one as SavedImage);
    expect(findSavedImage(images, '@1', '/a')).toBe(two as SavedImage);
    expect(findSavedImage([images[1] as SavedImage], undefined, '/a')).toBe(two as SavedImage);
  });

  test('is refused where several fit, none fits, or there is none', () => {
    const names = 'busybox:latest, example.org:5000/app:1, @1';
    expect(failure(() => findSavedImage(images, undefined, '/a'))).toEqual([
      'IMAGE_AMBIGUOUS',
      { transport: 'docker-archive', path: '/a', names },
    ]);
    for (const ref of ['busybox:1', '@2', 'app:1'])
      expect(failure(() => findSavedImage(images, ref, '/a'))).toEqual([
        'IMAGE_REF_MISSING',
        { path: '/a', ref, names },
      ]);
    expect(failure(() => findSavedImage([], undefined, '/a'))).toEqual([
      'IMAGE_BAD_MANIFEST',
      { source: '/a', reason: 'its manifest.json names no image' },
    ]);
  });
});

describe('a reference to an archive', () => {
  test.each([
    ['docker-archive:/a/b.tar', { kind: 'docker-archive', path: '/a/b.tar', ref: undefined }],
    ['docker-archive:///a//b.tar:app:1', { kind: 'docker-archive', path: '/a/b.tar', ref: 'app:1' }],
    ['docker-archive:/a%3Ab.tar:@3', { kind: 'docker-archive', path: '/a:b.tar', ref: '@3' }],
    ['docker-archive:/a.tar#app', { kind: 'docker-archive', path: '/a.tar', ref: 'app' }],
    ['oci-archive:/a/b.tar:v1', { kind: 'oci-archive', path: '/a/b.tar', ref: 'v1' }],
  ] as const)('%s', (text, reference) => {
    expect(parseImageReference(text)).toEqual(reference);
    expect(parseImageReference(formatReference(reference))).toEqual(reference);
  });

  test.each([
    ['docker-archive:', 'write docker-archive:/// and an absolute path'],
    ['docker-archive:a.tar', 'write docker-archive:/// and an absolute path'],
    ['docker-archive:/', 'it names no file; write docker-archive:/path/to/file'],
    [
      'docker-archive:/a:UPPER',
      'what follows the colon is neither the name of an image in the archive nor @N',
    ],
    ['oci-archive:/a:..', 'what follows the colon is neither the name of an image in the archive nor @N'],
  ])('%s is refused', (text, reason) => {
    expect(failure(() => parseImageReference(text))).toEqual(['BAD_REFERENCE', { reference: text, reason }]);
  });

  test('names of docker have a registry and a tag when they are compared', () => {
    expect(savedName('app')).toBe('docker.io/library/app:latest');
    expect(savedName('localhost/app:2')).toBe('localhost/app:2');
    expect(savedName('team/app')).toBe('docker.io/team/app:latest');
    expect(savedName(`app@sha256:${'a'.repeat(64)}`)).toBeUndefined();
  });
});
