/** Thin images of a published image, in a layout and in a registry, and the containers that start from them. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { hexOf } from '../../lib/base/digest.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, type World } from '../support/cvmfs/world.ts';
import { graft, graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { layoutImage, makeLayer, type PublishedImage } from '../support/images/published-image.ts';
import { startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const IMAGE = 'registry.example.org/team/app:v1';
const LAYERS = [
  'mkdir -p bin etc/sub; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; echo 2 > etc/sub/two',
  'mkdir -p etc/sub; touch etc/.wh.one; touch etc/sub/.wh..wh..opq; echo 3 > etc/sub/three',
];

let dir: TempDir;
let registry: TestRegistry;
let image: PublishedImage;
let world: World;
let from: string[];
beforeAll(async () => {
  dir = tempDir();
  registry = await startRegistry(dir.at('registry'));
  const layers = await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
  image = layoutImage(dir, layers);
  const path = dir.at('published');
  mkdirSync(path);
  await graftMust(['publish', '--to', `directory:${path}`, '--name', IMAGE, image.url]);
  from = ['--layers-from', `directory:${path}`, '--repository', NAME];
  setMagic(path, { fqrn: NAME });
  await packTree(path, dir.at('published.sqfs'));
  world = await cvmfsWorld({ packed: dir.at('published.sqfs') });
  await world.store.must(['create', image.url, 'whole']);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await registry?.stop();
  await dir?.remove();
});

const thin = (...args: string[]) => graft(['thin', '--insecure-registry', registry.host, ...from, ...args]);

describe.each([
  ['ducc', 'thin.json'],
  ['graphdriver', '.thin'],
])('the form %s', (form, member) => {
  test('in a layout: one layer with one file, the configuration of the image, a container from CVMFS alone', async () => {
    const layout = dir.at(`layout-${form}`);
    const ran = await thin('--form', form, IMAGE, `oci:${layout}:app`);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout).toMatch(/^oci:\S+@sha256:[0-9a-f]{64}: thin, with 2 layers of directory:\S+\n$/);
    const blob = (digest: string) => readFileSync(join(layout, 'blobs/sha256', digest.slice(7)));
    const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
    const manifest = JSON.parse(blob(index.manifests[0].digest).toString());
    expect(manifest.layers).toHaveLength(1);
    writeFileSync(dir.at('layer.tar'), gunzipSync(blob(manifest.layers[0].digest)));
    const listed = Bun.spawnSync(['tar', '-tf', dir.at('layer.tar')]).stdout.toString();
    expect(listed).toBe(`${member}\n`);
    const record = JSON.parse(Bun.spawnSync(['tar', '-xOf', dir.at('layer.tar'), member]).stdout.toString());
    expect(record).toEqual({
      version: '1.0',
      origin: `https://${IMAGE}`,
      layers: image.layers.map(({ digest }) => {
        const hex = hexOf(digest);
        return { digest: hex, url: `cvmfs://${NAME}/.layers/${hex.slice(0, 2)}/${hex}/layerfs` };
      }),
    });
    const config = JSON.parse(blob(manifest.config.digest).toString());
    expect(config.config.Env).toEqual(['PATH=/bin', 'FROM=config', 'CVMFS_IMAGE=true']);

    const created = await world.create(`oci://${layout}:app`, form);
    expect(created).toMatchObject({ code: 0 });
    expect((await world.sources(form)).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    expect(compareTrees(world.rootfs('whole'), world.rootfs(form), { linkCounts: false })).toEqual([]);
  });

  test('in a registry, with the same digest', async () => {
    const [layout, target] = [dir.at(`again-${form}`), `docker://${registry.host}/thin/${form}:v1`];
    const digest = async (out: string) =>
      /@(sha256:\S+):/.exec((await thin('--form', form, IMAGE, out)).stdout)?.[1];
    const there = await digest(target);
    expect(there).toBe((await digest(`oci:${layout}:app`)) ?? 'none');
    const create = ['create', '--insecure-registry', registry.host, target, `r-${form}`];
    expect(await world.graft(create)).toMatchObject({ code: 0 });
    expect((await world.sources(`r-${form}`)).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
  });
});

test.each([
  ['an image that is not there', 'registry.example.org/team/other:v1', [], 'it is not published there'],
  ['a form of another name', IMAGE, ['--form', 'podman'], 'the forms are ducc and graphdriver'],
  ['no target', IMAGE, ['--layers-from', 'elsewhere'], 'write directory:/PATH or cvmfs:REPOSITORY'],
  ['a repository that is no name', IMAGE, ['--repository', '../..'], 'is no name of a repository'],
])('%s is refused, and nothing is written', async (_, name, more, says) => {
  const out = dir.at('refused');
  const ran = await thin(...more, name, `oci:${out}:app`);
  expect(ran).toMatchObject({ code: 1 });
  expect(ran.stdout).toContain(says);
  expect(existsSync(out)).toBe(false);
});

test('a layer that is not whole is named, and nothing is written', async () => {
  const path = dir.at('partial');
  mkdirSync(path);
  await graftMust(['publish', '--to', `directory:${path}`, '--name', IMAGE, image.url]);
  const digest = image.layers[1]?.digest ?? image.config;
  const hex = hexOf(digest);
  rmSync(join(path, '.layers', hex.slice(0, 2), hex, '.metadata/layers.json'));
  const out = `oci:${dir.at('unwritten')}:app`;
  const ran = await graft(['thin', '--layers-from', `directory:${path}`, '--repository', NAME, IMAGE, out]);
  expect(ran).toMatchObject({ code: 1 });
  expect(ran.stdout).toContain(`its layer ${digest} is not there, or not whole`);
  expect(readdirSync(dir.path)).not.toContain('unwritten');
});
