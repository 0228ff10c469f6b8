/** `graft export` of images on CVMFS: from layers, from a thin image and from a flat root, the tree of the layout. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestOf, hexOf } from '../../lib/base/digest.ts';
import { formatThinImage } from '../../lib/cvmfs/records.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, type World } from '../support/cvmfs/world.ts';
import { graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

/** CernVM-FS makes a file of each name of a file. */
const LOST = { linkCounts: false };
const LAYERS = [
  `mkdir -p bin etc tmp srv/deep; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; echo 2 > etc/two
   chown 1000:1000 etc/two; echo s > srv/deep/s; mkfifo srv/pipe; ln -s ../etc srv/etc`,
  `mkdir etc srv; touch etc/.wh.one srv/.wh..wh..opq; echo 3 > etc/three; echo new > srv/new`,
];
const IMAGE_NAME = 'registry.example.org/team/app:v1';
let dir: TempDir;
let layers: MadeLayer[];
let image: PublishedImage;
let whole: string;
let world: World;

beforeAll(async () => {
  dir = tempDir();
  layers = await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
  image = layoutImage(dir, layers);
  whole = dir.at('whole');
  await graftMust(['export', image.url, whole]);
  const root = dir.at('repository');
  mkdirSync(root);
  const writer = repositoryWriter(root);
  await publishLayers(writer, layers);
  writer.publishManifest(IMAGE_NAME, image.manifest);
  writer.publishConfig(image.config, image.configBytes);
  await writer.publishFlat('flat.example.org/app:v1', image.config, async (to) => {
    await sh('cp -a "$1/." "$2"; touch -r "$1" "$2"', [whole, to]);
  });
  setMagic(root, { fqrn: NAME });
  await packTree(root, `${root}.sqfs`);
  world = await cvmfsWorld({ packed: `${root}.sqfs` });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await dir.remove();
});

async function exported(reference: string): Promise<string> {
  const target = dir.at(`out-${crypto.randomUUID()}`);
  const ran = await world.graft(['export', reference, target]);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('written to')]);
  expect(ran.stderr).toContain('layer-on-cvmfs');
  return target;
}

test('by its name, from the layers, of which nothing else has any', async () => {
  const target = await exported(`cvmfs:///cvmfs/${NAME}/${IMAGE_NAME}`);
  expect(compareTrees(whole, target, LOST)).toEqual([]);
});

test('of a thin image', async () => {
  const entries = layers.map(({ digest }) => {
    const hex = hexOf(digest);
    return { digest, url: `cvmfs://${NAME}/.layers/${hex.slice(0, 2)}/${hex}/layerfs` };
  });
  const work = dir.at('thin');
  mkdirSync(work);
  writeFileSync(join(work, 'thin.json'), formatThinImage('', entries));
  const tar = Buffer.from(
    Bun.spawnSync(['tar', '-C', work, '--numeric-owner', '-cf', '-', 'thin.json']).stdout,
  );
  const blob = gzipSync(tar);
  const thin = layoutImage(dir, [{ digest: digestOf(blob), blob, tar }]);
  expect(compareTrees(whole, await exported(thin.url), LOST)).toEqual([]);
});

test('of a flat root, without its catalog', async () => {
  const target = await exported(`cvmfs:///cvmfs/${NAME}/flat.example.org/app:v1`);
  expect(compareTrees(whole, target, LOST)).toEqual([]);
});

test('as an archive that is the same each time', async () => {
  const name = `cvmfs:///cvmfs/${NAME}/${IMAGE_NAME}`;
  const files = [dir.at('a.tar'), dir.at('b.tar')];
  for (const file of files) expect((await world.graft(['export', '--tar', file, name])).code).toBe(0);
  await sh('cmp "$1" "$2"', files);
});

test('whose layer is nowhere: one sentence, and nothing is left', async () => {
  const missing = `cvmfs:///cvmfs/${NAME}/.layers/aa/${'a'.repeat(64)}/layerfs`;
  const ran = await world.graft(['export', missing, dir.at('none')]);
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('nothing is published as')]);
  await sh('! ls -A "$1" | grep -e none -e graft-tmp', [dir.path]);
});
