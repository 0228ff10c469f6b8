import { describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Digest, digestFromHex, digestOf, hexOf, parseDiffId } from '../../../lib/base/digest.ts';
import { podmanName } from '../../../lib/cvmfs/publish-names.ts';
import { parseDuccManifest, parseLayerRecord, parseOverlayRecord } from '../../../lib/cvmfs/records.ts';
import { parseManifest } from '../../../lib/oci/manifest.ts';
import { type PublishOptions, RepositoryWriter } from '../../support/cvmfs/publish.ts';
import { type EntrySpec, tar } from '../../support/images/tar-writer.ts';
import { sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const SAMPLES = join(import.meta.dir, '../../cvmfs/fixtures/ducc');
const UPPER = '1a4e0ea788833ed999c68f9bd676ca1c1af23be3c20883b2af5bacc8d1b1322a';
const PUBLISHED_AT = { sec: 1_790_000_000, nsec: 0 };

function sample(name: string): Buffer {
  return readFileSync(join(SAMPLES, name));
}

function writer(dir: TempDir, changes: Partial<PublishOptions> = {}): RepositoryWriter {
  const root = dir.at('repository');
  mkdirSync(root, { recursive: true });
  const publisher = { uid: 0, gid: 0, time: PUBLISHED_AT };
  return new RepositoryWriter({ root, publisher, keepOwners: false, companion: false, ...changes });
}

function layerDirectoryOf(digest: Digest): string {
  const hex = hexOf(digest);
  return join('.layers', hex.slice(0, 2), hex);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function upperBlob() {
  const tar = gunzipSync(sample(`layer-${UPPER}.tar.gz`));
  return { digest: digestFromHex(UPPER), diffId: parseDiffId(digestOf(tar)), tar: once(tar) };
}

async function tarOf(
  dir: TempDir,
  script: string,
): Promise<{ digest: Digest; diffId: ReturnType<typeof parseDiffId>; tar: AsyncIterable<Uint8Array> }> {
  mkdirSync(dir.at('source'));
  await sh(`${script}`, [], { cwd: dir.at('source') });
  const tar = readFileSync(dir.at('source/layer.tar'));
  return { digest: digestOf(tar), diffId: parseDiffId(digestOf(tar)), tar: once(tar) };
}

describe('a published layer is as DUCC publishes it', () => {
  test('its tree, name by name', async () => {
    await using dir = tempDir();
    await writer(dir).publishLayer(upperBlob());
    const layerfs = dir.at('repository/.layers/1a', UPPER, 'layerfs');
    const list = await sh(
      `find "$1" '(' -type d -printf '%P %y %m %U:%G -\\n' -o -printf '%P %y %m %U:%G %s\\n' ')' | LC_ALL=C sort`,
      [layerfs],
    );
    expect(list).toBe(sample(`layer-${UPPER}.list`).toString());
    expect(lstatSync(join(layerfs, 'deep/implicit')).mtimeMs).toBe(PUBLISHED_AT.sec * 1000);
    expect(lstatSync(join(layerfs, 'etc')).mtimeMs).toBe(1_600_000_000_000);
  });

  test('its record, byte for byte but the time', async () => {
    await using dir = tempDir();
    await writer(dir).publishLayer(upperBlob());
    const made = readFileSync(dir.at('repository/.layers/1a', UPPER, '.metadata/layers.json'), 'utf8');
    const timeless = (text: string) => text.replace(/"created": "[^"]+"/, '"created": ""');
    expect(timeless(made)).toBe(timeless(sample(`layer-${UPPER}.sample`).toString()));
    expect(parseLayerRecord(made, 'x')).toEqual(
      parseLayerRecord(sample(`layer-${UPPER}.sample`).toString(), 'x'),
    );
  });

  test('catalog files on the way', async () => {
    await using dir = tempDir();
    await writer(dir).publishLayer(upperBlob());
    for (const path of ['.layers/.cvmfscatalog', '.layers/1a/.cvmfscatalog']) {
      expect(lstatSync(dir.at('repository', path)).size).toBe(0);
    }
  });

  test('with owners where they are kept', async () => {
    await using dir = tempDir();
    const publisher = { uid: 497, gid: 498, time: PUBLISHED_AT };
    await writer(dir, { keepOwners: true, publisher }).publishLayer(upperBlob());
    const layerfs = dir.at('repository/.layers/1a', UPPER, 'layerfs');
    const owner = (name: string) =>
      `${lstatSync(join(layerfs, name)).uid}:${lstatSync(join(layerfs, name)).gid}`;
    expect(['opq', 'deep/implicit/parent/f', 'deep', '', '.cvmfscatalog'].map(owner)).toEqual([
      '5:6',
      '7:8',
      // Made up by a command that keeps owners: they belong to -1.
      '65534:65534',
      '65534:65534',
      '497:498',
    ]);
  });

  test('hard links are files of their own, devices and set-id bits stay', async () => {
    await using dir = tempDir();
    const blob = await tarOf(
      dir,
      `echo text > a; chmod 4755 a; ln a b; mknod c c 1 3; mkfifo f; ln -s a s; mkdir d; chmod 1777 d
       tar -cf layer.tar --numeric-owner a b c f s d`,
    );
    await writer(dir).publishLayer(blob);
    const hex = blob.digest.slice(7);
    const layerfs = dir.at('repository/.layers', hex.slice(0, 2), hex, 'layerfs');
    expect(readdirSync(layerfs).sort()).toEqual(['.cvmfscatalog', 'a', 'b', 'c', 'd', 'f', 's']);
    expect(lstatSync(join(layerfs, 'b')).nlink).toBe(1);
    expect(readFileSync(join(layerfs, 'b'), 'utf8')).toBe('text\n');
    expect(lstatSync(join(layerfs, 'b')).mode & 0o7777).toBe(0o4755);
    expect(lstatSync(join(layerfs, 'd')).mode & 0o7777).toBe(0o1777);
    expect(lstatSync(join(layerfs, 'f')).isFIFO()).toBe(true);
    expect(lstatSync(join(layerfs, 'c')).isCharacterDevice()).toBe(true);
    expect(readlinkSync(join(layerfs, 's'))).toBe('a');
  });

  describe('a hard link that takes the place of its own target, by a publisher that unpacks', () => {
    const unpacks = { tool: 'unpack' } as const;
    const at = { uid: 0, gid: 0, mtime: 1_600_000_000 };
    const blobOf = (entries: readonly EntrySpec[]) => {
      const bytes = tar(entries);
      return { digest: digestOf(bytes), diffId: parseDiffId(digestOf(bytes)), tar: once(bytes) };
    };

    test('by another way to the same name is that file, as it was', async () => {
      await using dir = tempDir();
      const blob = blobOf([
        { name: 'dir/', type: '5', mode: 0o755, ...at },
        { name: 'way', type: '2', link: 'dir', ...at },
        { name: 'dir/file', content: 'text', mode: 0o4755, ...at },
        { name: 'dir/file', type: '1', link: 'dir/file', ...at },
        { name: 'way/file', type: '1', link: 'dir/file', ...at },
        { name: 'dir/file', type: '1', link: 'way/file', ...at },
      ]);
      await writer(dir, unpacks).publishLayer(blob);
      const layerfs = dir.at('repository', layerDirectoryOf(blob.digest), 'layerfs');
      expect(readdirSync(join(layerfs, 'dir'))).toEqual(['file']);
      expect(readFileSync(join(layerfs, 'dir/file'), 'utf8')).toBe('text');
      expect(lstatSync(join(layerfs, 'dir/file')).mode & 0o7777).toBe(0o4755);
      expect(readlinkSync(join(layerfs, 'way'))).toBe('dir');
    });

    const held: readonly (readonly [what: string, entries: readonly EntrySpec[]])[] = [
      [
        'with the directory around it',
        [
          { name: 'dir/deep/file', content: 'text', mode: 0o644, ...at },
          { name: 'dir', type: '1', link: 'dir/deep/file', ...at },
        ],
      ],
      [
        'with the link on the way to it',
        [
          { name: 'dir/file', content: 'text', mode: 0o644, ...at },
          { name: 'way', type: '2', link: 'dir', ...at },
          { name: 'way', type: '1', link: 'way/file', ...at },
        ],
      ],
    ];
    for (const [what, entries] of held) {
      test(`${what} is refused as by who unpacks it, and nothing is published`, async () => {
        await using dir = tempDir();
        const blob = blobOf(entries);
        const expected = { code: 'LAYER_BAD_HARDLINK' };
        await expect(writer(dir, unpacks).publishLayer(blob)).rejects.toMatchObject(expected);
        const prefix = dir.at('repository', layerDirectoryOf(blob.digest), '..');
        expect(readdirSync(prefix)).toEqual(['.cvmfscatalog']);
      });
    }
  });

  test('a tar that is not what it should be leaves nothing under its name', async () => {
    await using dir = tempDir();
    const blob = { ...upperBlob(), diffId: parseDiffId(`sha256:${'0'.repeat(64)}`) };
    await expect(writer(dir).publishLayer(blob)).rejects.toMatchObject({ code: 'LAYER_DIFFID_MISMATCH' });
    expect(readdirSync(dir.at('repository/.layers/1a'))).toEqual(['.cvmfscatalog']);
  });

  test('a companion records what the tree cannot say', async () => {
    await using dir = tempDir();
    await writer(dir, { companion: true }).publishLayer(upperBlob());
    const layer = dir.at('repository/.layers/1a', UPPER);
    const made = { sec: 1_600_000_000, nsec: 0, own: false, hollow: false };
    expect(parseOverlayRecord(readFileSync(join(layer, '.metadata/overlay.json')), 'x')).toEqual({
      layer: digestFromHex(UPPER),
      opaque: ['opq'],
      implied: ['deep', 'deep/implicit', 'deep/implicit/parent'].map((path) => ({ path, ...made })),
      late: [],
      ownersKept: false,
      explicitRoot: false,
      hidden: ['.cvmfscatalog', '.wh.gone', 'etc/.wh.a', 'opq/.wh..wh..opq'],
      fileBytes: 7,
      entries: 12,
    });
    for (const name of ['whiteouts/gone', 'whiteouts/etc/a']) {
      const stat = lstatSync(join(layer, name));
      expect([stat.isCharacterDevice(), stat.rdev]).toEqual([true, 0]);
    }
  });
});

describe('a published image', () => {
  const manifest = parseDuccManifest(sample('manifest.sample'), 'manifest.sample');

  test('its manifest, byte for byte', async () => {
    await using dir = tempDir();
    const target = writer(dir);
    await target.publishLayer(upperBlob());
    target.publishManifest('127.0.0.1:8932/lib/app:v1', { ...manifest, layers: manifest.layers.slice(1) });
    const path = dir.at('repository/.metadata/127.0.0.1:8932/lib/app:v1/manifest.json');
    const expected = JSON.parse(sample('manifest.sample').toString()) as { Layers: unknown[] };
    expect(readFileSync(path, 'utf8')).toBe(
      JSON.stringify({ ...expected, Layers: expected.Layers.slice(1) }),
    );
    const origin = readFileSync(dir.at('repository/.layers/1a', UPPER, '.metadata/origin.json'), 'utf8');
    expect(JSON.parse(sample('origin.sample').toString())).toEqual({
      origin: [manifest.config.digest, manifest.config.digest],
    });
    expect(origin).toBe(JSON.stringify({ origin: [manifest.config.digest] }));
  });

  test('is read whatever case its keys have', () => {
    const text = sample('manifest.sample').toString();
    const lower = text
      .replaceAll('"MediaType"', '"mediaType"')
      .replaceAll('"Digest"', '"digest"')
      .replaceAll('"Size"', '"size"')
      .replace('"Layers"', '"layers"')
      .replace('"Config"', '"config"')
      .replace('"SchemaVersion"', '"schemaVersion"');
    expect(parseDuccManifest(Buffer.from(lower), 'x')).toEqual(manifest);
    expect(parseManifest(Buffer.from(lower), undefined, 'x')).toEqual(manifest);
    expect(manifest.layers.map(({ size }) => size)).toEqual([22042089, 265]);
  });

  test('with one key in two cases is refused', () => {
    const twice = sample('manifest.sample').toString().replace('"Layers":', '"layers":[],"Layers":');
    expect(() => parseDuccManifest(Buffer.from(twice), 'x')).toThrow('CVMFS_BAD_RECORD');
  });

  test('its configuration has the name that libpod gives it', async () => {
    await using dir = tempDir();
    const { digest } = manifest.config;
    expect(digestOf(sample('config.sample'))).toBe(digest);
    writer(dir).publishConfig(digest, sample('config.sample'));
    const name =
      '=c2hhMjU2OmM3MGE3NWI1ZDU2Yzg2NzlmYzA3ZjUzNDY1ZTYyYTEzMjE5NGRmNzNkZDUyMmNkMzZjZjE3ODEyNDVjNzEwNTA=';
    expect(podmanName(digest)).toBe(name);
    expect(readdirSync(dir.at('repository/podmanStore/overlay-images', digest.slice(7)))).toEqual([name]);
  });

  test('its public name is a relative link to the flat root, and can be moved', async () => {
    await using dir = tempDir();
    const target = writer(dir);
    const name = 'registry.example.org:5000/team/app:v1';
    for (const digit of ['c', 'd']) {
      await target.publishFlat(name, digestFromHex(digit.repeat(64)), () => undefined);
      const hex = digit.repeat(64);
      expect(readlinkSync(dir.at('repository', name))).toBe(`../../.flat/${hex.slice(0, 2)}/${hex}`);
    }
    expect(readdirSync(dir.at('repository/registry.example.org:5000/team'))).toEqual(['app:v1']);
  });
});
