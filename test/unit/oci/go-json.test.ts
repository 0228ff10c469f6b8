/** Documents are read as Go's encoding/json reads them into the structures of the image specification. */
import { describe, expect, test } from 'bun:test';
import { silentLogger } from '../../../lib/base/log.ts';
import { parseConfig } from '../../../lib/oci/config.ts';
import { parseManifest } from '../../../lib/oci/manifest.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { digest, json, refusal } from './support.ts';

const LAYER = { mediaType: OCI_LAYER, digest: digest('l'), size: 1 };
const IMAGE = {
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  config: { mediaType: OCI_CONFIG, digest: digest('c'), size: 1 },
  layers: [LAYER],
};
const manifest = (document: unknown) => parseManifest(json(document), undefined, 'test');
const config = (document: unknown) => parseConfig(json(document), 'test', silentLogger);

describe('the case of a key does not count', () => {
  test('in a manifest, on every level', () => {
    const { mediaType, digest: name, size } = LAYER;
    expect(
      manifest({
        SchemaVersion: 2,
        MEDIATYPE: OCI_MANIFEST,
        Config: IMAGE.config,
        laYers: [{ MediaType: mediaType, DIGEST: name, Size: size }],
      }),
    ).toEqual(manifest(IMAGE));
  });

  test('in an index, which is known by its keys', () => {
    const platform = { OS: 'linux', Architecture: 'arm64', Variant: 'v8', 'OS.Features': ['x'] };
    const read = manifest({
      schemaVersion: 2,
      Manifests: [{ ...LAYER, mediaType: OCI_MANIFEST, Platform: platform }],
    });
    expect(read.kind === 'index' && read.entries[0]?.platform).toEqual({
      os: 'linux',
      architecture: 'arm64',
      variant: 'v8',
      features: ['x'],
    });
  });

  test('in a configuration, by the folding of Unicode', () => {
    const read = config({
      OS: 'linux',
      rootFS: { Diff_IDs: [digest('a')] },
      // The Kelvin sign, and the long s.
      config: { user: 'app', ENV: ['A=b'], 'wor\u212aingdir': '/w' },
    });
    expect(read).toMatchObject({ os: 'linux', user: 'app', env: ['A=b'], workingDir: '/w' });
    expect(read.diffIds as readonly string[]).toEqual([digest('a')]);
    expect(config({ rootfs: {}, config: { 'U\u017fer': 'app' } }).user).toBe('app');
  });

  test('an index that calls itself an image in capitals is still refused', () => {
    refusal('IMAGE_BAD_MANIFEST', () => manifest({ ...IMAGE, Manifests: [] }));
    refusal('IMAGE_BAD_MANIFEST', () => manifest({ MediaType: OCI_INDEX, ...IMAGE, mediaType: undefined }));
    refusal('IMAGE_SCHEMA1', () => manifest({ SCHEMAVERSION: 1 }));
  });
});

describe('two keys that differ in case only are refused', () => {
  test.each<[string, unknown]>([
    ['in a manifest', { ...IMAGE, Layers: [] }],
    ['in a descriptor', { ...IMAGE, config: { ...IMAGE.config, Digest: digest('other') } }],
    ['that nobody knows', { ...IMAGE, extra: 1, Extra: 2 }],
  ])('%s', (_where, document) => {
    expect(refusal('IMAGE_BAD_MANIFEST', () => manifest(document)).reason).toContain(
      'capital and small letters',
    );
  });

  test.each([
    { rootfs: {}, Rootfs: {} },
    { rootfs: {}, config: { User: 'app', user: 'root' } },
  ])('in the configuration %j', (document) => {
    expect(refusal('IMAGE_BAD_CONFIG', () => config(document)).reason).toContain('capital and small letters');
  });

  test('but not in annotations and labels, which are data', () => {
    const read = manifest({ ...IMAGE, layers: [{ ...LAYER, annotations: { a: '1', A: '2', B: null } }] });
    expect(read.kind === 'image' && [...(read.layers[0]?.annotations ?? [])]).toEqual([
      ['a', '1'],
      ['A', '2'],
      ['B', ''],
    ]);
    config({ rootfs: {}, config: { Labels: { x: 'a', X: 'b' } } });
  });
});

describe('null', () => {
  test('is a value that is missing', () => {
    expect(
      manifest({
        ...IMAGE,
        schemaVersion: null,
        mediaType: null,
        artifactType: null,
        subject: null,
        annotations: null,
      }),
    ).toEqual(manifest(IMAGE));
    const read = manifest({
      manifests: [{ ...LAYER, artifactType: null, platform: { os: null, architecture: null } }],
    });
    expect(read.kind === 'index' && read.entries[0]).toMatchObject({
      platform: undefined,
      artifactType: undefined,
    });
    expect(
      config({ rootfs: { type: null, diff_ids: null }, variant: null, 'os.features': null }).diffIds,
    ).toEqual([]);
    expect(config({ rootfs: {}, config: { Cmd: ['a', null] } }).cmd).toEqual(['a', '']);
  });

  test.each(['mediaType', 'digest', 'size'])('is no %s of a layer', (key) => {
    refusal('IMAGE_BAD_MANIFEST', () => manifest({ ...IMAGE, layers: [{ ...LAYER, [key]: null }] }));
  });

  test.each([{ layers: [null] }, { config: null }])('is no descriptor: %j', (change) => {
    refusal('IMAGE_BAD_MANIFEST', () => manifest({ ...IMAGE, ...change }));
  });
});

test.each(['\ufeff', 'x', '[]'])('what is not one document from its first byte is refused: %j', (before) => {
  refusal('IMAGE_BAD_MANIFEST', () =>
    parseManifest(Buffer.from(before + JSON.stringify(IMAGE)), undefined, 'test'),
  );
});
