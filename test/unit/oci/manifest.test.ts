import { describe, expect, test } from 'bun:test';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../../../lib/base/limits.ts';
import { verifyDigest } from '../../../lib/oci/descriptor.ts';
import { parseManifest } from '../../../lib/oci/manifest.ts';
import * as types from '../../../lib/oci/media-types.ts';
import { digest, json, refusal } from './support.ts';

const config = { mediaType: types.OCI_CONFIG, digest: digest('config'), size: 10 };
const layer = { mediaType: types.OCI_LAYER, digest: digest('layer'), size: 20 };
const image = { schemaVersion: 2, mediaType: types.OCI_MANIFEST, config, layers: [layer] };
const entry = { mediaType: types.OCI_MANIFEST, digest: digest('image'), size: 30 };
const index = { schemaVersion: 2, mediaType: types.OCI_INDEX, manifests: [entry] };

const parse = (document: unknown, contentType?: string) => parseManifest(json(document), contentType, 'test');
const reason = (document: unknown, contentType?: string) =>
  refusal('IMAGE_BAD_MANIFEST', () => parse(document, contentType)).reason;

describe('parseManifest reads', () => {
  test('an OCI manifest', () => {
    expect(parse(image, types.OCI_MANIFEST)).toMatchObject({
      kind: 'image',
      mediaType: types.OCI_MANIFEST,
      config,
      layers: [layer],
    });
  });

  test('a manifest of Docker, schema 2', () => {
    const docker = {
      ...image,
      mediaType: types.DOCKER_MANIFEST,
      config: { ...config, mediaType: types.DOCKER_CONFIG },
    };
    expect(parse(docker, types.DOCKER_MANIFEST)).toMatchObject({
      kind: 'image',
      mediaType: types.DOCKER_MANIFEST,
    });
  });

  test('an index and a manifest list', () => {
    expect(parse(index)).toMatchObject({ kind: 'index', entries: [entry] });
    const list = { ...index, mediaType: types.DOCKER_LIST };
    expect(parse(list, types.DOCKER_LIST)).toMatchObject({ kind: 'index', mediaType: types.DOCKER_LIST });
  });

  test.each([
    ['no mediaType in the body', { ...image, mediaType: undefined }, types.OCI_MANIFEST, 'image'],
    ['no mediaType anywhere', { ...image, mediaType: undefined }, undefined, 'image'],
    ['no mediaType in an index', { ...index, mediaType: undefined }, undefined, 'index'],
    ['no schemaVersion', { ...image, schemaVersion: undefined }, undefined, 'image'],
    ['schemaVersion 0, as Go writes none', { ...index, schemaVersion: 0 }, undefined, 'index'],
    ['a content type with a parameter', image, `${types.OCI_MANIFEST}; charset=utf-8`, 'image'],
    ['a content type in capitals', image, types.OCI_MANIFEST.toUpperCase(), 'image'],
    ['a content type that says nothing', image, 'application/json', 'image'],
    ['a content type of plain text', index, 'text/plain; charset=utf-8', 'index'],
    ['layers null, as Go writes none', { ...image, layers: null }, undefined, 'image'],
    ['no layers at all', { ...image, layers: [] }, undefined, 'image'],
    ['manifests null', { ...index, manifests: null }, undefined, 'index'],
    ['keys nobody knows', { ...image, subject: entry, future: { a: 1 } }, undefined, 'image'],
    [
      'annotations and urls null',
      { ...image, layers: [{ ...layer, annotations: null, urls: null }] },
      undefined,
      'image',
    ],
    [
      'an old configuration type',
      { ...image, config: { ...config, mediaType: 'application/octet-stream' } },
      undefined,
      'image',
    ],
    ['an empty platform', { ...index, manifests: [{ ...entry, platform: {} }] }, undefined, 'index'],
  ] as const)('%s', (_what, document, contentType, kind) => {
    expect(parse(document, contentType).kind).toBe(kind);
  });

  test('urls, annotations and platforms', () => {
    const far = { ...layer, urls: ['https://blobs.example/x'], annotations: { a: 'b' } };
    const parsed = parse({ ...image, layers: [far] });
    if (parsed.kind !== 'image') throw new Error(parsed.kind);
    expect(parsed.layers[0]?.urls).toEqual(['https://blobs.example/x']);
    expect(parsed.layers[0]?.annotations).toEqual(new Map([['a', 'b']]));
    const listed = parse({
      ...index,
      manifests: [
        { ...entry, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
        { ...entry, platform: {} },
      ],
    });
    if (listed.kind !== 'index') throw new Error(listed.kind);
    expect(listed.entries.map(({ platform }) => platform)).toEqual([
      { os: 'linux', architecture: 'arm', variant: 'v7' },
      undefined,
    ]);
  });

  test('1000 entries, and no more', () => {
    expect(parse({ ...index, manifests: Array(1000).fill(entry) })).toMatchObject({ kind: 'index' });
    expect(reason({ ...index, manifests: Array(1001).fill(entry) })).toContain('/manifests');
  });
});

describe('parseManifest refuses', () => {
  test.each([
    ['layers and manifests', { ...image, manifests: [entry] }, undefined],
    ['manifests and layers', { ...index, layers: [layer] }, undefined],
    ['an index with a configuration', { ...index, config }, undefined],
    ['an empty other half', { ...image, manifests: [] }, undefined],
    ['a null other half', { ...index, layers: null }, undefined],
    ['a hybrid with schema 1', { ...image, fsLayers: [] }, undefined],
    ['an image that calls itself an index', { ...image, mediaType: types.OCI_INDEX }, undefined],
    ['an index that calls itself an image', { ...index, mediaType: types.DOCKER_MANIFEST }, undefined],
    ['an image served as an index', image, types.OCI_INDEX],
    ['an index served as an image', index, types.OCI_MANIFEST],
    ['an unnamed image served as an index', { ...image, mediaType: undefined }, types.DOCKER_LIST],
    ['an unnamed index served as an image', { ...index, mediaType: undefined }, types.DOCKER_MANIFEST],
    ['an OCI body served as Docker', image, types.DOCKER_MANIFEST],
    ['an unknown body served as OCI', { ...image, mediaType: 'application/x' }, types.OCI_MANIFEST],
  ] as const)('%s', (_what, document, contentType) => {
    expect(reason(document, contentType)).not.toBe('');
  });

  test.each([[-1], [1.5], ['10'], [null], [true], [[]], [{}], [2 ** 53], [undefined]])(
    'a size of %p',
    (size) => {
      expect(reason({ ...image, layers: [{ ...layer, size }] })).toContain('layers/0');
      expect(reason({ ...index, manifests: [{ ...entry, size }] })).toContain('manifests/0');
    },
  );

  // Go's encoding/json takes no fraction and no exponent for an integer, whatever their value.
  test.each(['1e400', '9007199254740993', '-0.5', '1e-1', '99999999999999999999', '2e1', '20.0', '2E+1'])(
    'a size written %s',
    (size) => {
      const text = JSON.stringify(image).replace('"size":20', `"size":${size}`);
      expect(
        refusal('IMAGE_BAD_MANIFEST', () => parseManifest(Buffer.from(text), undefined, 'test')).reason,
      ).toContain('size');
    },
  );

  test('takes sizes from 0 to 2^53 - 1', () => {
    for (const size of [0, 2 ** 53 - 1])
      expect(parse({ ...image, layers: [{ ...layer, size }] })).toMatchObject({ layers: [{ size }] });
  });

  test.each([
    digest('x').toUpperCase(),
    digest('x').slice(0, -1),
    `${digest('x')}0`,
    `${digest('x')}/../../../etc/passwd`,
    `sha512:${'0'.repeat(128)}`,
    `md5:${'0'.repeat(32)}`,
    `sha256:${'g'.repeat(64)}`,
    'sha256:',
    '',
    `${digest('x')}\n`,
  ])('the digest %j', (bad) => {
    refusal('BAD_DIGEST', () => parse({ ...image, layers: [{ ...layer, digest: bad }] }));
    refusal('BAD_DIGEST', () => parse({ ...image, config: { ...config, digest: bad } }));
    refusal('BAD_DIGEST', () => parse({ ...index, manifests: [{ ...entry, digest: bad }] }));
  });

  test.each([
    ['no config', { ...image, config: undefined }],
    ['no layers', { ...image, layers: undefined }],
    ['layers that are no list', { ...image, layers: { 0: layer } }],
    ['a layer that is text', { ...image, layers: [digest('x')] }],
    ['a layer without type', { ...image, layers: [{ ...layer, mediaType: undefined }] }],
    ['urls that are no texts', { ...image, layers: [{ ...layer, urls: [1] }] }],
    ['urls without end', { ...image, layers: [{ ...layer, urls: Array(65).fill('http://x') }] }],
    ['annotations that are no texts', { ...image, layers: [{ ...layer, annotations: { a: 1 } }] }],
    ['schemaVersion 3', { ...image, schemaVersion: 3 }],
    ['schemaVersion "2"', { ...image, schemaVersion: '2' }],
    ['a mediaType that is no text', { ...image, mediaType: 7 }],
    ['a platform that is text', { ...index, manifests: [{ ...entry, platform: 'linux/amd64' }] }],
    ['nothing', {}],
  ])('%s', (_what, document) => {
    expect(reason(document)).not.toBe('');
  });

  test.each(['null', '[]', '"x"', '1', '{', '', 'x'])('the document %j', (text) => {
    refusal('IMAGE_BAD_MANIFEST', () => parseManifest(Buffer.from(text), undefined, 'test'));
  });

  test('a manifest or a configuration over the ceiling', () => {
    const padded = Buffer.from(JSON.stringify({ ...image, pad: 'x'.repeat(MAX_MANIFEST_BYTES) }));
    expect(refusal('IMAGE_BAD_MANIFEST', () => parseManifest(padded, undefined, 'test')).reason).toContain(
      `${MAX_MANIFEST_BYTES}`,
    );
    expect(reason({ ...image, config: { ...config, size: MAX_CONFIG_BYTES + 1 } })).toContain(
      `${MAX_CONFIG_BYTES}`,
    );
    parse({ ...image, config: { ...config, size: MAX_CONFIG_BYTES } });
  });

  test('keys that are only inherited', () => {
    // An object of its own would inherit `constructor`; none of these names may stand for a key.
    expect(reason({ constructor: 1, toString: 2 })).toContain('config');
  });

  test.each([
    [
      'by its version',
      { schemaVersion: 1, name: 'x', tag: 'y', fsLayers: [], history: [], signatures: [] },
      undefined,
    ],
    ['unsigned', { ...image, schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+json'],
    ['signed', { fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8'],
    ['by its own word', { mediaType: 'application/vnd.docker.distribution.manifest.v1+json' }, undefined],
  ])('schema 1, told %s', (_how, document, contentType) => {
    expect(refusal('IMAGE_SCHEMA1', () => parse(document, contentType))).toEqual({ source: 'test' });
  });

  test.each([
    'application/vnd.cncf.helm.config.v1+json',
    'application/vnd.oci.empty.v1+json',
    'application/vnd.docker.plugin.v1+json',
    'application/vnd.dev.cosign.artifact.sig.v1+json',
  ])('an artifact with the configuration %s', (mediaType) => {
    const subject = refusal('IMAGE_UNSUPPORTED', () => parse({ ...image, config: { ...config, mediaType } }));
    expect(subject).toMatchObject({ source: 'test', mediaType });
  });
});

test('verifyDigest takes the bytes and no others', () => {
  const bytes = json(image);
  const right = parse({
    ...image,
    config: { ...config, digest: `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}` },
  });
  if (right.kind !== 'image') throw new Error(right.kind);
  verifyDigest(bytes, right.config.digest);
  for (let at = 0; at < bytes.length; at += 1) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    expect(refusal('IMAGE_DIGEST_MISMATCH', () => verifyDigest(flipped, right.config.digest)).expected).toBe(
      right.config.digest,
    );
  }
});
