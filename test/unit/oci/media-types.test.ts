import { describe, expect, test } from 'bun:test';
import {
  isConfigType,
  isForeignLayer,
  layerFormat,
  manifestKind,
  normalType,
} from '../../../lib/oci/media-types.ts';

const OCI = 'application/vnd.oci.image.layer.v1.tar';
const DOCKER = 'application/vnd.docker.image.rootfs.diff.tar';

describe('layerFormat', () => {
  test.each([
    [OCI, 'none', false],
    [`${OCI}+gzip`, 'gzip', false],
    [`${OCI}+zstd`, 'zstd', false],
    [`${OCI}.gzip`, 'gzip', false],
    [DOCKER, 'none', false],
    [`${DOCKER}.gzip`, 'gzip', false],
    [`${DOCKER}.zstd`, 'zstd', false],
    [`${DOCKER}+gzip`, 'gzip', false],
    [`${OCI.toUpperCase()}+GZIP; x=y`, 'gzip', false],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar', 'none', true],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'gzip', true],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', 'zstd', true],
    ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'gzip', true],
    ['application/vnd.docker.image.rootfs.foreign.diff.tar', 'none', true],
  ] as const)('reads %s', (mediaType, compression, foreign) => {
    expect(layerFormat(mediaType)).toEqual({ kind: 'tar', compression, foreign });
    expect(isForeignLayer(mediaType)).toBe(foreign);
  });

  test.each([
    `${OCI}+encrypted`,
    `${OCI}+gzip+encrypted`,
    `${DOCKER}.gzip+encrypted`,
    `${OCI}+zstd+Encrypted`,
  ])('knows that %s is encrypted', (mediaType) => {
    expect(layerFormat(mediaType)).toEqual({ kind: 'encrypted' });
  });

  test.each([
    [`${OCI}+bzip2`, /gzip or zstd/],
    [`${OCI}+xz`, /gzip or zstd/],
    [`${DOCKER}.xz`, /gzip or zstd/],
    ['application/vnd.in-toto+json', /attestation/],
    ['application/vnd.oci.image.layer.nydus.blob.v1', /ordinary tar layers/],
    ['application/vnd.cncf.helm.chart.content.v1.tar+gzip', /Helm/],
    ['application/vnd.oci.empty.v1+json', /not a layer/],
    ['application/octet-stream', /not a layer/],
    ['application/x-tar', /not a layer/],
    [`${OCI}ball`, /not a layer/],
    [`x${OCI}`, /not a layer/],
    ['', /not a layer/],
  ])('refuses %s with advice', (mediaType, advice) => {
    const format = layerFormat(mediaType);
    expect(format.kind).toBe('unsupported');
    expect(format.kind === 'unsupported' && format.advice).toMatch(advice);
    expect(isForeignLayer(mediaType)).toBe(false);
  });
});

test('manifestKind and isConfigType look at the type alone', () => {
  expect(manifestKind('application/vnd.docker.distribution.manifest.list.v2+json;x')).toBe('index');
  expect(manifestKind('application/vnd.docker.distribution.manifest.v2+json ')).toBe('image');
  expect(manifestKind('application/vnd.docker.distribution.manifest.v1+prettyjws')).toBe('schema1');
  expect(manifestKind('application/json')).toBeUndefined();
  expect(isConfigType('application/vnd.docker.container.image.v1+json')).toBe(true);
  expect(isConfigType('application/vnd.docker.container.image.rootfs.diff+x-gtar')).toBe(false);
  expect(normalType(' A/B ; c=d')).toBe('a/b');
});
