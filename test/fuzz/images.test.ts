import { expect, test } from 'bun:test';
import { tempDir } from '../support/temp.ts';
import { imageCase } from './image-fuzz.ts';

/** The same on every day: a test that passed must pass again. Other seeds are for `ci/fuzz-images`. */
test.each([1, 2, 3, 4, 5, 6])('a random tree as an EROFS image, seed %p', async (seed) => {
  await using dir = tempDir();
  expect(await imageCase(seed, dir.at('case'))).toEqual([]);
});
