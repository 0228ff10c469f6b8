/** Layers on CVMFS, whose bytes nothing verifies, for an image that has to be signed. */

import { expect, test } from 'bun:test';
import type { CvmfsDeps } from '../../../../lib/cvmfs/locate.ts';
import type { Repository } from '../../../../lib/cvmfs/settings.ts';
import { inPlaceFor } from '../../../../lib/image/pull/in-place.ts';
import type { ImageLayer } from '../../../../lib/image/source/image-layer.ts';
import type { ResolvedImage } from '../../../../lib/image/source/source.ts';

const repositories = ['one.example', 'two.example'].map(
  (name) => ({ name, path: `/cvmfs/${name}` }) as Repository,
);
const cvmfs = { settings: { repositories } } as unknown as CvmfsDeps;
const [one] = repositories;

function image(inPlaceFrom: readonly string[] | undefined, elsewhere?: boolean): ResolvedImage {
  const layers: ImageLayer[] = [];
  if (elsewhere !== undefined) {
    if (one === undefined) throw new Error('no repository');
    const address = { repository: one, path: '/cvmfs/one.example/layer' };
    const onCvmfs = { address, shown: 'layer', elsewhere, thinImage: undefined };
    layers.push({ kind: 'directory', blob: undefined, onCvmfs });
  }
  return {
    name: 'docker://a.example/app:v1',
    manifestDigest: undefined,
    config: undefined,
    layers,
    inPlaceFrom,
  };
}
const names = (deps: CvmfsDeps | undefined) => deps?.settings.repositories.map(({ name }) => name);

test('without a demand all repositories serve, also layers that only they have', () => {
  expect(inPlaceFor(image(undefined, false), cvmfs)).toBe(cvmfs);
});

test('of a signed image only the accepted ones serve', () => {
  expect(inPlaceFor(image([]), cvmfs)).toBeUndefined();
  expect(inPlaceFor(image(['other.example'], true), cvmfs)).toBeUndefined();
  expect(names(inPlaceFor(image(['two.example'], true), cvmfs))).toEqual(['two.example']);
  expect(names(inPlaceFor(image(['one.example'], false), cvmfs))).toEqual(['one.example']);
});

test('a layer that only a repository has which is not accepted is refused', () => {
  for (const deps of [cvmfs, undefined])
    expect(() => inPlaceFor(image(['two.example'], false), deps)).toThrow(
      expect.objectContaining({ code: 'TRUST_UNVERIFIED_LAYERS' }),
    );
});
