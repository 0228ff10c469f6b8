/**
 * The base image of a container: its documents, and its layers as blobs. The container's record says which image it was
 * and the digest of its manifest, so that a tag that moved since changes nothing.
 */
import type { DiffId, Digest } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { MAX_CONFIG_BYTES, MAX_LOWER_DIRS } from '../../base/limits.ts';
import { silentLogger } from '../../base/log.ts';
import { parseConfig } from '../../oci/config.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { JsonRefused, parseJson } from '../../oci/json.ts';
import { type ImageManifest, parseManifest } from '../../oci/manifest.ts';
import { layerFormat, OCI_LAYER } from '../../oci/media-types.ts';
import type { LayerProvenance } from '../../store/records/image-record.ts';
import type { BaseDocuments, WrittenDescriptor } from '../image/document.ts';
import type { BaseReader } from './base-reader.ts';

/** The part of a container's record that names its image. */
export interface CommittedFrom {
  /** The reference without credentials. */
  readonly image: string;
  readonly manifestDigest: Digest | undefined;
  /** Bottom first. */
  readonly layers: readonly LayerProvenance[];
  /** The name for the annotation `org.opencontainers.image.base.name`; undefined where the image is in no registry. */
  readonly registryName: string | undefined;
}

/** Errors after which the base is gone for good, and another way is the only one. */
const GONE = [
  'REGISTRY_NOT_FOUND',
  'IMAGE_SOURCE_UNREADABLE',
  'IMAGE_DIGEST_MISMATCH',
  'IMAGE_BAD_MANIFEST',
  'IMAGE_BAD_CONFIG',
  'IMAGE_SCHEMA1',
  'LAYER_DIGEST_MISMATCH',
  'LAYER_SIZE_MISMATCH',
] as const;

/**
 * @param purpose `configuration`: the layers are not used, and are not compared with those of the container
 * @throws COMMIT_BASE where the image is not to be had; REGISTRY_* of a registry that may answer another time
 */
export async function readBase(
  reader: BaseReader,
  from: CommittedFrom,
  purpose: 'layers' | 'configuration',
  signal: AbortSignal,
): Promise<BaseDocuments> {
  try {
    return await read(reader, from, purpose, signal);
  } catch (error) {
    throw asGone(from, error);
  }
}

/** COMMIT_BASE for an error after which the base image cannot be had; any other error as it is. */
export function asGone(from: Pick<CommittedFrom, 'image'>, error: unknown): unknown {
  return GONE.some((code) => isPluginError(error, code)) ? gone(from, reasonIn(error), error) : error;
}

/** The reason why an image is gone, in words. */
function reasonIn(error: unknown): string {
  if (isPluginError(error, 'REGISTRY_NOT_FOUND')) return 'its registry no longer has it';
  if (isPluginError(error, 'IMAGE_SOURCE_UNREADABLE'))
    return `${error.subject.path}: ${error.subject.reason}`;
  if (isPluginError(error, 'IMAGE_DIGEST_MISMATCH')) return 'its digests are not those of its files';
  if (isPluginError(error, 'LAYER_DIGEST_MISMATCH') || isPluginError(error, 'LAYER_SIZE_MISMATCH'))
    return 'a layer has other bytes than before';
  return 'its manifest or configuration is not valid';
}

export function gone({ image }: Pick<CommittedFrom, 'image'>, reason: string, cause?: unknown): PluginError {
  return new PluginError('COMMIT_BASE', { image, reason }, { cause });
}

async function read(
  reader: BaseReader,
  from: CommittedFrom,
  purpose: 'layers' | 'configuration',
  signal: AbortSignal,
): Promise<BaseDocuments> {
  const { image, manifestDigest } = from;
  if (manifestDigest === undefined) throw gone(from, 'the container has no record of its manifest');
  const manifest = parseManifest(await reader.manifest(manifestDigest, signal), undefined, image);
  if (manifest.kind !== 'image') throw gone(from, 'its manifest is an index');
  const bytes = await reader.config(manifest.config, signal);
  const { diffIds } = parseConfig(bytes, image, silentLogger);
  if (purpose === 'layers') requireSameLayers(from, manifest, diffIds);
  return {
    config: documentIn(bytes, from),
    diffIds,
    layers: purpose === 'layers' ? manifest.layers.map((layer) => written(layer, from)) : [],
    shown: image,
    annotations: {
      'org.opencontainers.image.base.digest': manifestDigest,
      ...(from.registryName === undefined ? {} : { 'org.opencontainers.image.base.name': from.registryName }),
    },
  };
}

/** The layers of a thin image are others than those that the container has: its own is a file with names of them. */
function requireSameLayers(from: CommittedFrom, { layers }: ImageManifest, diffIds: readonly DiffId[]): void {
  const same =
    layers.length === diffIds.length &&
    layers.length === from.layers.length &&
    layers.every(({ digest }, at) => (from.layers[at]?.digest ?? digest) === digest);
  if (!same) throw gone(from, 'its layers are on CVMFS, and no registry has them as blobs');
  if (layers.length >= MAX_LOWER_DIRS)
    throw gone(
      from,
      `it has ${layers.length} layers, and ${MAX_LOWER_DIRS} are the most that can be stacked`,
    );
}

function documentIn(bytes: Uint8Array, from: CommittedFrom): Record<string, unknown> {
  try {
    return parseJson(bytes, MAX_CONFIG_BYTES) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof JsonRefused) throw gone(from, error.message, error);
    throw error;
  }
}

/** The descriptor with the OCI type, since the new manifest is an OCI one. Places of foreign layers are left out. */
function written(layer: Descriptor, from: CommittedFrom): WrittenDescriptor {
  const format = layerFormat(layer.mediaType);
  if (format.kind !== 'tar') throw gone(from, `it has a layer of the type ${layer.mediaType}`);
  const { digest, size, annotations } = layer;
  return {
    mediaType: layerType(format.compression),
    digest,
    size,
    ...(annotations.size === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
  };
}

export function layerType(compression: 'gzip' | 'zstd' | 'none'): string {
  return compression === 'none' ? OCI_LAYER : `${OCI_LAYER}+${compression}`;
}
