/** Images published into a directory: what is written, what is left alone, and what a failure leaves. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../../lib/base/digest.ts';
import { parseLayerRecord, parseOverlayRecord } from '../../../lib/cvmfs/records.ts';
import { unpackHere } from '../../property/workbench.ts';
import { publishLayout } from '../../support/cvmfs/publish-image.ts';
import {
  layerOf,
  layoutImage,
  type MadeLayer,
  publishLayers,
  repositoryWriter,
} from '../../support/images/published-image.ts';
import { tar } from '../../support/images/tar-writer.ts';
import { codeOf, failureOf, listTree } from '../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const NAME = 'registry.example.org/team/app:v1';

let dir: TempDir;
let root: string;
beforeEach(() => {
  dir = tempDir();
  root = dir.at('repository');
  mkdirSync(root);
});
afterEach(() => dir.remove());

const BASE = layerOf(
  tar([
    { name: './', type: '5', mode: 0o755 },
    { name: 'etc/', type: '5', mode: 0o750, gid: 7 },
    { name: 'etc/one', content: '1', uid: 1000, gid: 1000 },
    { name: 'etc/two', content: '2', mode: 0o4755 },
    { name: 'etc/linked', type: '1', link: 'etc/two' },
    { name: 'opt/', type: '5' },
    { name: 'opt/old', content: 'old' },
    { name: 'null', type: '3' },
  ]),
);
const TOP = layerOf(
  tar([
    { name: 'etc/.wh.one' },
    { name: 'opt/', type: '5', mode: 0o700 },
    { name: 'opt/.wh..wh..opq' },
    { name: 'opt/new', content: 'new' },
  ]),
);

function layerDirectory({ digest }: MadeLayer): string {
  const hex = hexOf(digest);
  return join(root, '.layers', hex.slice(0, 2), hex);
}

function publish(layers: readonly MadeLayer[], changes: Parameters<typeof publishLayout>[0]['changes'] = {}) {
  const { url } = layoutImage(dir, layers);
  return publishLayout({ root, url, name: NAME, changes });
}

/** Everything that a publication leaves beside what readers look for. */
function leftOvers(): string[] {
  return readdirSync(join(root, '.graft-publish'), { recursive: true }).map(String);
}

describe('an image', () => {
  test('is layers with the markers that readers of DUCC expect, and the devices of overlayfs beside', async () => {
    const published = await publish([BASE, TOP]);
    expect(published).toMatchObject({ result: 'published', layers: 2, lost: { devices: 1, owners: false } });
    expect(listTree(`${layerDirectory(BASE)}/layerfs`)).toEqual({
      '/': 'd 755 0:0',
      '.cvmfscatalog': 'f 644 0:0 ',
      etc: 'd 750 0:7',
      'etc/one': 'f 644 1000:1000 1',
      'etc/two': 'f 4755 0:0 2',
      'etc/linked': 'f 4755 0:0 2',
      opt: 'd 755 0:0',
      'opt/old': 'f 644 0:0 old',
    });
    expect(listTree(`${layerDirectory(TOP)}/layerfs`)).toEqual({
      '/': 'd 755 0:0',
      '.cvmfscatalog': 'f 644 0:0 ',
      etc: 'd 755 0:0',
      'etc/.wh.one': 'f 644 0:0 ',
      opt: 'd 700 0:0',
      'opt/.wh..wh..opq': 'f 644 0:0 ',
      'opt/new': 'f 644 0:0 new',
    });
    // The opaque directory hides what the layer below has in it.
    expect(listTree(`${layerDirectory(TOP)}/whiteouts`)).toMatchObject({
      'etc/one': 'c 0',
      'opt/old': 'c 0',
    });
    expect(listTree(`${layerDirectory(BASE)}/whiteouts`)).toEqual({ '/': 'd 755 0:0' });
    for (const path of ['.layers', `.layers/${hexOf(TOP.digest).slice(0, 2)}`])
      expect(existsSync(join(root, path, '.cvmfscatalog'))).toBe(true);
    expect(leftOvers()).toEqual(['stage']);
  });

  test('has the records that say what a tree cannot say', async () => {
    await publish([BASE, TOP]);
    const metadata = `${layerDirectory(TOP)}/.metadata`;
    const record = parseLayerRecord(readFileSync(`${metadata}/layers.json`, 'utf8'), 'layers.json');
    expect(record).toMatchObject({ digest: TOP.digest, tarBytes: TOP.tar.length });
    expect(parseOverlayRecord(readFileSync(`${metadata}/overlay.json`), 'overlay.json')).toMatchObject({
      layer: TOP.digest,
      opaque: ['opt'],
      implied: [{ path: 'etc', sec: 1_600_000_000, nsec: 0, own: false, hollow: true }],
      late: [],
      ownersKept: true,
      explicitRoot: false,
      hidden: ['.cvmfscatalog', 'etc/.wh.one', 'opt/.wh..wh..opq'],
      fileBytes: 3,
    });
  });

  test('has its documents byte for byte, and its manifest in the form of DUCC', async () => {
    const image = layoutImage(dir, [BASE]);
    await publishLayout({ root, url: image.url, name: NAME });
    const at = join(root, '.metadata', NAME);
    expect(readFileSync(`${at}/config.json`, 'utf8')).toBe(image.configBytes.toString());
    expect(JSON.parse(readFileSync(`${at}/oci-manifest.json`, 'utf8'))).toMatchObject({ schemaVersion: 2 });
    expect(JSON.parse(readFileSync(`${at}/manifest.json`, 'utf8'))).toMatchObject({
      SchemaVersion: 2,
      Config: { Digest: image.config },
      Layers: [{ Digest: BASE.digest, Size: BASE.blob.length }],
    });
    const origin = readFileSync(`${layerDirectory(BASE)}/.metadata/origin.json`, 'utf8');
    expect(JSON.parse(origin)).toEqual({ origin: [image.config] });
  });

  test('that is there is left, and no layer of it is opened', async () => {
    const image = layoutImage(dir, [BASE, TOP]);
    await publishLayout({ root, url: image.url, name: NAME });
    const before = lstatSync(`${layerDirectory(TOP)}/.metadata/layers.json`).ctimeMs;
    rmSync(`${image.url.slice('oci://'.length)}/blobs/sha256/${hexOf(BASE.digest)}`);
    const again = await publishLayout({ root, url: image.url, name: NAME });
    expect(again).toMatchObject({ result: 'present', fetched: [] });
    expect(lstatSync(`${layerDirectory(TOP)}/.metadata/layers.json`).ctimeMs).toBe(before);
  });

  test('is only named by a dry run', async () => {
    expect(await publish([BASE, TOP], { dryRun: true })).toMatchObject({
      result: 'published',
      fetched: [
        { digest: BASE.digest, bytes: BASE.blob.length },
        { digest: TOP.digest, bytes: TOP.blob.length },
      ],
    });
    expect(readdirSync(root)).toEqual([]);
  });

  test('whose tag has moved leaves its manifest for as long as it is kept', async () => {
    const old = layoutImage(dir, [BASE]);
    await publishLayout({ root, url: old.url, name: NAME });
    await publish([BASE, TOP], { keepUntil: new Date('2030-01-02T03:04:05.678Z') });
    const kept = join(root, '.metadata/.kept/2030-01-02T030405Z', NAME, 'manifest.json');
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toMatchObject({ Config: { Digest: old.config } });
    expect(
      JSON.parse(readFileSync(join(root, '.metadata', NAME, 'manifest.json'), 'utf8')).Layers,
    ).toHaveLength(2);
  });

  test('shares its layers with another one, whose configuration is named beside', async () => {
    const one = layoutImage(dir, [BASE]);
    const two = layoutImage(dir, [BASE], { config: { Env: ['TWO=2'] } });
    await publishLayout({ root, url: one.url, name: NAME });
    const second = await publishLayout({ root, url: two.url, name: 'registry.example.org/two:v1' });
    expect(second).toMatchObject({ result: 'published', fetched: [] });
    const origin = readFileSync(`${layerDirectory(BASE)}/.metadata/origin.json`, 'utf8');
    expect(JSON.parse(origin)).toEqual({ origin: [one.config, two.config] });
  });
});

describe('a layer', () => {
  test('that deletes a name and has it itself gets no marker, which the ingest command aborts on', async () => {
    const layer = layerOf(
      tar([
        { name: '.wh..hidden' },
        { name: '.hidden', content: 'x' },
        { name: 'dir/', type: '5' },
        { name: '.wh.dir' },
        { name: 'dir/a', content: 'a' },
        { name: 'dir/a', content: 'again' },
      ]),
    );
    await publish([BASE, layer]);
    expect(listTree(`${layerDirectory(layer)}/layerfs`)).toEqual({
      '/': 'd 755 0:0',
      '.cvmfscatalog': 'f 644 0:0 ',
      '.hidden': 'f 644 0:0 x',
      dir: 'd 755 0:0',
      'dir/.wh..wh..opq': 'f 644 0:0 ',
      'dir/a': 'f 644 0:0 again',
    });
  });

  test('whose blob is another than its digest says is not published, nor is anything of its image', async () => {
    const image = layoutImage(dir, [BASE, TOP]);
    const blob = `${image.url.slice('oci://'.length)}/blobs/sha256/${hexOf(TOP.digest)}`;
    const bytes = readFileSync(blob);
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    writeFileSync(blob, bytes);
    const failed = publishLayout({ root, url: image.url, name: NAME });
    expect(await codeOf(failed)).toBe('LAYER_DIGEST_MISMATCH');
    expect(readdirSync(root)).toEqual(['.graft-publish']);
    expect(leftOvers()).toEqual(['stage']);
  });

  test('with a hard link into a lower one is refused: it would be another tree in each image', async () => {
    const layer = layerOf(tar([{ name: 'mine', type: '1', link: 'etc/one' }]));
    expect(await failureOf(publish([BASE, layer]))).toMatchObject({
      code: 'PUBLISH_LAYER_DEPENDS',
      subject: { digest: layer.digest, entry: 'mine', target: 'etc/one' },
    });
    expect(existsSync(join(root, '.layers'))).toBe(false);
  });

  test('that has the name of the catalog file keeps a file, and is refused with anything else', async () => {
    const file = layerOf(tar([{ name: '.cvmfscatalog', content: 'mine' }]));
    await publish([file]);
    expect(readFileSync(`${layerDirectory(file)}/layerfs/.cvmfscatalog`, 'utf8')).toBe('mine');
    const overlay = readFileSync(`${layerDirectory(file)}/.metadata/overlay.json`);
    expect(parseOverlayRecord(overlay, '').hidden).toEqual([]);
    const directory = layerOf(tar([{ name: '.cvmfscatalog/', type: '5' }]));
    expect(await codeOf(publish([directory]))).toBe('PUBLISH_CATALOG_NAME');
  });

  test.each(['record without a tree', 'tree without a record'])(
    'that another tool left as a %s is published again',
    async (half) => {
      const at = layerDirectory(BASE);
      if (half === 'record without a tree') {
        mkdirSync(`${at}/.metadata`, { recursive: true });
        writeFileSync(`${at}/.metadata/origin.json`, '{"origin":[]}');
      } else {
        mkdirSync(`${at}/layerfs`, { recursive: true });
        writeFileSync(`${at}/layerfs/half`, '');
      }
      expect(await publish([BASE])).toMatchObject({
        result: 'published',
        fetched: [{ digest: BASE.digest }],
      });
      expect(existsSync(`${at}/layerfs/etc/two`)).toBe(true);
      expect(existsSync(`${at}/layerfs/half`)).toBe(false);
      expect(leftOvers()).toEqual(['stage']);
    },
  );

  test('that DUCC published whole is left', async () => {
    await publishLayers(repositoryWriter(root), [TOP]);
    expect(await publish([TOP])).toMatchObject({ result: 'published', fetched: [] });
    expect(existsSync(`${layerDirectory(TOP)}/whiteouts`)).toBe(false);
  });
});

describe('a target', () => {
  test('of another user is refused: that user could lead each write elsewhere', async () => {
    chownSync(root, 1000, 1000);
    expect(await failureOf(publish([BASE]))).toMatchObject({ code: 'PUBLISH_BAD_TARGET' });
  });

  test('that a killed publication left unfinished is swept by the next one', async () => {
    mkdirSync(join(root, '.graft-publish/stage/half/layerfs'), { recursive: true });
    await publish([BASE]);
    expect(leftOvers()).toEqual(['stage']);
  });

  test('is changed by one publication at a time', async () => {
    let busy = '';
    const image = layoutImage(dir, [BASE]);
    const again = async () => {
      busy = await codeOf(publishLayout({ root, url: image.url, name: NAME }));
    };
    await publishLayout({
      root,
      url: image.url,
      name: NAME,
      changes: {
        unpack: async (request, bytes) => {
          await again();
          return unpackHere(request, bytes);
        },
      },
    });
    expect(busy).toBe('PUBLISH_BUSY');
  });
});
