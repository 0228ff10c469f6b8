/** What a prune removes and what it leaves. Each fault of DUCC's collector, where it was seen, has a test here. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../../lib/base/digest.ts';
import { formatDuccManifest } from '../../../lib/cvmfs/records.ts';
import { type PruneOptions, prune } from '../../../lib/publish/prune.ts';
import { unpublishImage } from '../../../lib/publish/unpublish.ts';
import { openDirectory, publishLayout } from '../../support/cvmfs/publish-image.ts';
import { layerOf, layoutImage, type MadeLayer } from '../../support/images/published-image.ts';
import { tar } from '../../support/images/tar-writer.ts';
import { codeOf, listTree } from '../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const NAME = 'registry.example.org/team/app:v1';
const LATER = new Date('2100-01-01T00:00:00Z');
const ONE = layerOf(tar([{ name: 'one', content: '1' }]));
const TWO = layerOf(tar([{ name: 'two', content: '2' }]));
const THREE = layerOf(tar([{ name: 'three', content: '3' }]));

let dir: TempDir;
let root: string;
beforeEach(() => {
  dir = tempDir();
  root = dir.at('repository');
  mkdirSync(root);
});
afterEach(() => dir.remove());

function publish(layers: readonly MadeLayer[], name = NAME, keepUntil?: Date) {
  const { url } = layoutImage(dir, layers);
  return publishLayout({ root, url, name, changes: { keepUntil } });
}

function pruneIt(changes: Partial<PruneOptions> = {}) {
  const options = { wanted: undefined, before: LATER, keepUntil: undefined, now: new Date(), dryRun: false };
  return openDirectory(root, (target, signal) => prune(target, { ...options, ...changes }, signal));
}

function unpublish(name: string, keepUntil?: Date) {
  return openDirectory(root, (target, signal) =>
    unpublishImage(target, { name, keepUntil, dryRun: false }, signal),
  );
}

function layers(): string[] {
  return readdirSync(join(root, '.layers'))
    .filter((name) => name !== '.cvmfscatalog')
    .flatMap((two) => readdirSync(join(root, '.layers', two)))
    .filter((name) => name !== '.cvmfscatalog')
    .sort();
}

function hexes(...made: MadeLayer[]): string[] {
  return made.map(({ digest }) => hexOf(digest)).sort();
}

describe('a prune', () => {
  test('leaves everything that a manifest names', async () => {
    await publish([ONE, TWO]);
    expect(await pruneIt()).toEqual({ images: [], expired: [], layers: [] });
    expect(layers()).toEqual(hexes(ONE, TWO));
  });

  test('removes the layers of an image that was taken away, and no layer of another one', async () => {
    await publish([ONE, TWO]);
    await publish([ONE, THREE], 'registry.example.org/other:v1');
    expect(await unpublish(NAME)).toEqual([join('.metadata', NAME)]);
    expect(existsSync(join(root, '.metadata/registry.example.org/team'))).toBe(false);
    expect(await pruneIt()).toMatchObject({ layers: [TWO.digest] });
    expect(layers()).toEqual(hexes(ONE, THREE));
  });

  test('leaves the layers of an image whose tag has moved until its time is over', async () => {
    await publish([ONE]);
    await publish([TWO], NAME, new Date('2030-01-01T00:00:00Z'));
    expect(await pruneIt({ now: new Date('2029-12-31T23:59:59Z') })).toMatchObject({
      layers: [],
      expired: [],
    });
    expect(layers()).toEqual(hexes(ONE, TWO));
    expect(await pruneIt({ now: new Date('2030-01-01T00:00:00Z') })).toEqual({
      images: [],
      expired: ['2030-01-01T000000Z'],
      layers: [ONE.digest],
    });
    expect(layers()).toEqual(hexes(TWO));
  });

  test('leaves layers that were published a moment ago: their manifest may be to come', async () => {
    await publish([ONE]);
    await unpublish(NAME);
    expect(await pruneIt({ before: new Date(Date.now() - 3_600_000) })).toMatchObject({ layers: [] });
    expect(layers()).toEqual(hexes(ONE));
  });

  test('takes images away that nobody wants, and keeps their layers for the time that they are kept', async () => {
    await publish([ONE]);
    await publish([TWO], 'registry.example.org/other:v1');
    const wanted = new Set(['registry.example.org/other:v1']);
    expect(await pruneIt({ wanted, keepUntil: LATER })).toMatchObject({ images: [NAME], layers: [] });
    expect(existsSync(join(root, '.metadata', NAME))).toBe(false);
    expect(await pruneIt({ wanted, now: LATER })).toMatchObject({ images: [], layers: [ONE.digest] });
    expect(layers()).toEqual(hexes(TWO));
  });
});

describe('faults of the collector of DUCC are not repeated', () => {
  test('a dry run changes nothing, also not the records for podman', async () => {
    await publish([ONE]);
    await unpublish(NAME);
    mkdirSync(join(root, 'podmanStore/overlay-layers'), { recursive: true });
    writeFileSync(join(root, 'podmanStore/overlay-layers/layers.json'), '[]');
    const before = listTree(root);
    expect(await pruneIt({ dryRun: true })).toMatchObject({ layers: [ONE.digest] });
    expect(listTree(root)).toEqual(before);
  });

  test('an image beside and below the directory of another one counts', async () => {
    const image = layoutImage(dir, [ONE]);
    // A name without a tag, as DUCC has for an image that was named by its digest.
    const plain = join(root, '.metadata/registry.example.org/team');
    mkdirSync(plain, { recursive: true });
    writeFileSync(join(plain, 'manifest.json'), formatDuccManifest(image.manifest));
    await publish([TWO]);
    await publish([THREE], 'registry.example.org/team/zebra:v1');
    expect(await pruneIt()).toMatchObject({ layers: [] });
    expect(layers()).toEqual(hexes(TWO, THREE));
  });

  test('images for several platforms count', async () => {
    const image = layoutImage(dir, [ONE]);
    await publish([ONE]);
    await unpublish(NAME);
    const at = join(root, '.metadata/.multiarch/arm64:v8', NAME);
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'manifest.json'), formatDuccManifest(image.manifest));
    expect(await pruneIt()).toMatchObject({ layers: [] });
  });

  test('images for several platforms are asked for by the wish for their name', async () => {
    const image = layoutImage(dir, [ONE]);
    await publish([TWO]);
    const at = join(root, '.metadata/.multiarch/arm64:v8', NAME);
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'manifest.json'), formatDuccManifest(image.manifest));
    expect(await pruneIt({ wanted: new Set([NAME]) })).toMatchObject({ images: [], layers: [] });
    expect(existsSync(join(at, 'manifest.json'))).toBe(true);
    const images = [`.multiarch/arm64:v8/${NAME}`, NAME];
    expect(await pruneIt({ wanted: new Set(), dryRun: true })).toMatchObject({ images });
  });

  test('the old manifest is kept when a tag moves, and not the new one', async () => {
    const old = layoutImage(dir, [ONE]);
    await publishLayout({ root, url: old.url, name: NAME });
    await publish([TWO], NAME, LATER);
    const kept = join(root, '.metadata/.kept/2100-01-01T000000Z', NAME, 'manifest.json');
    expect(JSON.parse(readFileSync(kept, 'utf8')).Config.Digest).toBe(old.config);
  });

  test('more layers than a batch are all removed', async () => {
    const many = Array.from({ length: 60 }, (_, at) => layerOf(tar([{ name: `file-${at}` }])));
    await publish(many);
    await unpublish(NAME);
    expect((await pruneIt()).layers).toHaveLength(60);
    expect(layers()).toEqual([]);
  });

  test('a manifest that cannot be read stops it before anything is removed', async () => {
    await publish([ONE]);
    await unpublish(NAME);
    const at = join(root, '.metadata/registry.example.org/damaged:v1');
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'manifest.json'), '{"Layers":');
    expect(await codeOf(pruneIt())).toBe('CVMFS_BAD_RECORD');
    expect(layers()).toEqual(hexes(ONE));
  });
});

describe('an image that is taken away', () => {
  test('loses its public link, but a file of that name is not its', async () => {
    await publish([ONE]);
    mkdirSync(join(root, 'registry.example.org/team'), { recursive: true });
    symlinkSync('../../.flat/00/00', join(root, NAME));
    expect(await unpublish(NAME)).toEqual([NAME, join('.metadata', NAME)]);
    expect(existsSync(join(root, 'registry.example.org'))).toBe(false);
    await publish([ONE]);
    mkdirSync(join(root, NAME), { recursive: true });
    expect(await unpublish(NAME)).toEqual([join('.metadata', NAME)]);
    expect(existsSync(join(root, NAME))).toBe(true);
  });

  test('and is not there is no error', async () => {
    expect(await unpublish(NAME)).toEqual([]);
  });

  test('keeps its layers by its manifest', async () => {
    await publish([ONE]);
    await unpublish(NAME, LATER);
    expect(await pruneIt()).toMatchObject({ layers: [] as Digest[] });
    expect(layers()).toEqual(hexes(ONE));
  });
});
