/** Random layers as EROFS images beside the same layers as directory trees. `ci/fuzz-images` has other seeds. */
import { describe, expect, test } from 'bun:test';
import { tempDir } from '../support/temp.ts';
import { layerCase, randomLayers, wholeCase } from './layer-image-fuzz.ts';

/** The same on every day: a test that passed must pass again. */
const SEED = 1;
const MAPPED = {
  uids: [{ container: 0, host: 100_000, size: 65_536 }],
  gids: [{ container: 0, host: 200_000, size: 65_536 }],
};

describe.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])(`layers of seed ${SEED}, number %p`, (number) => {
  test('have the facts and the tree of a directory', async () => {
    await using dir = tempDir();
    for (const layer of randomLayers(SEED, number))
      expect(await layerCase(layer, dir.at('case'), MAPPED)).toEqual([]);
  });

  test('are the exported directory where one is the whole image', async () => {
    await using dir = tempDir();
    for (const layer of randomLayers(SEED + 1, number))
      expect(await wholeCase(layer, dir.at('case'))).toEqual([]);
  });
});
