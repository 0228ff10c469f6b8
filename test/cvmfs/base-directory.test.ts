/**
 * Layers that go below a directory of the image (Garden's `preloaded+layer`), beside published ones: such a layer copies
 * what its base directory is from the layer right below it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false, directoryTimes: true };
const BASE_DIRECTORY = 'org.cloudfoundry.experimental.image.base-directory';

describe('a layer with a base directory', () => {
  let dir: TempDir;
  let layers: MadeLayer[];
  let image: PublishedImage;
  let packed: string;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = [
      `mkdir -p bin etc; echo x > bin/sh; echo 1 > etc/one`,
      `mkdir -p home/vcap etc; chmod 0711 home; chmod 0750 home/vcap; chown 2000:2001 home/vcap; touch etc/.wh.one`,
      `mkdir app; echo droplet > app/start; chown -R 2000:2001 app`,
      `mkdir top; echo y > top/y`,
    ];
    const made = await Promise.all(scripts.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    layers = made.map((layer, at) =>
      at === 2 ? { ...layer, annotations: { [BASE_DIRECTORY]: '/home/vcap' } } : layer,
    );
    image = layoutImage(dir, layers);
    const root = dir.at('repository');
    mkdirSync(root);
    await publishLayers(repositoryWriter(root), layers);
    setMagic(root, { fqrn: NAME });
    packed = dir.at('image');
    await packTree(root, packed);
  });
  afterAll(() => dir.remove());

  test('is fetched with the layer that it goes into; all others are used where they are', async () => {
    await using w = await cvmfsWorld({ packed });
    const created = await w.create(image.url, 'box');
    expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
    const sources = await w.sources('box');
    expect(sources.map(({ source }) => source)).toEqual(['cvmfs', 'oci', 'oci', 'cvmfs']);
    expect(sources[1]?.reason).toBe('the layer above it goes below one of its directories');
    expect(readFileSync(join(w.rootfs('box'), 'home/vcap/app/start'), 'utf8')).toBe('droplet\n');
    const home = lstatSync(join(w.rootfs('box'), 'home/vcap'));
    expect([home.uid, home.gid, home.mode & 0o7777]).toEqual([2000, 2001, 0o750]);
    await w.store.must(['create', image.url, 'plain']);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
  });

  test('finds its parent in the store, and then nothing is fetched but itself', async () => {
    await using w = await cvmfsWorld({ packed });
    const below = layoutImage(dir, layers.slice(0, 2));
    await w.store.must(['create', below.url, 'below']);
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box')).map(({ source }) => source).slice(2)).toEqual(['oci', 'cvmfs']);
    await w.store.must(['create', image.url, 'plain']);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
  });

  test('has a base directory that nothing below it has: one sentence, and nothing is left', async () => {
    await using w = await cvmfsWorld({ packed });
    const wrong = { ...layers[2], annotations: { [BASE_DIRECTORY]: '/home/nobody' } } as MadeLayer;
    const other = layoutImage(dir, [...layers.slice(0, 2), wrong]);
    const created = await w.create(other.url, 'box');
    expect([created.code, created.stdout]).toEqual([
      1,
      expect.stringMatching(/^[^\n]*\/?home\/nobody[^\n]*\n$/),
    ] as never);
    expect(readdirSync(join(w.store.path, 'images'))).toEqual([]);
  });
});
