/**
 * Media types of images: image-spec media-types.md, and Docker's "Image Manifest Version 2, Schema 2".
 * A type is compared in lower case and without parameters (RFC 9110, 8.3.1): `normalType` first.
 */
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
const OCI_LAYER_FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';
const DOCKER_LAYER_FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar';
const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** The Accept header of a request for a manifest. Schema 1 is absent, so that a registry converts nothing to it. */
export const MANIFEST_ACCEPT: readonly string[] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/**
 * Types of an image configuration. Besides the two of the specifications, those that old builders and
 * registries wrote for one, which Docker accepts to this day (distribution issue 1621).
 */
const CONFIG_TYPES = new Set([
  OCI_CONFIG,
  DOCKER_CONFIG,
  'application/octet-stream',
  'application/json',
  'text/html',
  '',
]);

export function isConfigType(mediaType: string): boolean {
  return CONFIG_TYPES.has(normalType(mediaType));
}

export function normalType(mediaType: string): string {
  const end = mediaType.indexOf(';');
  return (end < 0 ? mediaType : mediaType.slice(0, end)).trim().toLowerCase();
}

/** The kind of manifest that a media type names; undefined for other types. */
export function manifestKind(mediaType: string): 'image' | 'index' | 'schema1' | undefined {
  switch (normalType(mediaType)) {
    case OCI_MANIFEST:
    case DOCKER_MANIFEST:
      return 'image';
    case OCI_INDEX:
    case DOCKER_LIST:
      return 'index';
    case DOCKER_SCHEMA1:
    case DOCKER_SCHEMA1_SIGNED:
      return 'schema1';
    default:
      return undefined;
  }
}

/** The format of a layer, by its media type. */
export type LayerFormat =
  | { readonly kind: 'tar'; readonly compression: 'gzip' | 'zstd' | 'none'; readonly foreign: boolean }
  | { readonly kind: 'encrypted' }
  | { readonly kind: 'unsupported'; readonly advice: string };

const REBUILD = 'rebuild the image with gzip or zstd layers, or leave the compression to the builder';

export function layerFormat(mediaType: string): LayerFormat {
  const type = normalType(mediaType);
  if (type.endsWith('+encrypted')) return { kind: 'encrypted' };
  for (const [base, foreign] of LAYER_BASES) {
    if (!type.startsWith(base)) continue;
    const compression = SUFFIXES.get(type.slice(base.length));
    if (compression !== undefined) return { kind: 'tar', compression, foreign };
    if (/^[.+](bzip2|xz|lzma|lz4|br)$/.test(type.slice(base.length)))
      return { kind: 'unsupported', advice: REBUILD };
  }
  return { kind: 'unsupported', advice: adviceFor(type) };
}

const LAYER_BASES: readonly (readonly [string, boolean])[] = [
  [OCI_LAYER, false],
  [OCI_LAYER_FOREIGN, true],
  [DOCKER_LAYER, false],
  [DOCKER_LAYER_FOREIGN, true],
];

/** OCI appends the compression after `+`, Docker after `.`. Builders mix the two, so both are read for all types. */
const SUFFIXES = new Map<string, 'gzip' | 'zstd' | 'none'>([
  ['', 'none'],
  ['+gzip', 'gzip'],
  ['.gzip', 'gzip'],
  ['+zstd', 'zstd'],
  ['.zstd', 'zstd'],
]);

function adviceFor(type: string): string {
  if (type.includes('in-toto')) return 'this is a build attestation, not an image; name the image itself';
  if (type.includes('nydus') || type.includes('erofs') || type.includes('squashfs'))
    return 'publish the image with ordinary tar layers too, and use that one';
  if (type.includes('helm')) return 'this is a Helm chart, not a container image';
  return 'this is not a layer of a container image; check that the reference names an image and not another artifact';
}

/** True for layers that registries need not keep (Windows base layers); they come from `urls` alone. */
export function isForeignLayer(mediaType: string): boolean {
  const format = layerFormat(mediaType);
  return format.kind === 'tar' && format.foreign;
}
