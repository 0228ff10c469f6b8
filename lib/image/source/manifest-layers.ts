import type { DiffId } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_LAYERS } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageManifest } from '../../oci/manifest.ts';
import { layerFormat } from '../../oci/media-types.ts';
import type { BlobLayer, Compression, UnvalidatedLayer } from './image-layer.ts';

/** Cloud Foundry's own annotation: unpack the layer below this directory (Diego's droplets). */
const BASE_DIRECTORY = 'org.cloudfoundry.experimental.image.base-directory';

/**
 * Joins a manifest's layers and a configuration's diffIDs.
 * @param validated false: digests and sizes are invented names. Garden's layouts declare a size of 0 for every blob,
 * which then counts as no declaration.
 * @throws IMAGE_BAD_CONFIG when the counts differ; IMAGE_TOO_MANY_LAYERS; IMAGE_ENCRYPTED, IMAGE_UNSUPPORTED
 */
export function toImageLayers(
  manifest: ImageManifest,
  config: { readonly diffIds: readonly (DiffId | undefined)[] },
  options: { readonly validated: boolean; readonly source: string },
): readonly (BlobLayer | UnvalidatedLayer)[] {
  const { layers } = manifest;
  const { source, validated } = options;
  if (layers.length !== config.diffIds.length) {
    const reason = `it has ${config.diffIds.length} diffIDs for the manifest's ${layers.length} layers`;
    throw new PluginError('IMAGE_BAD_CONFIG', { source, reason });
  }
  if (layers.length > MAX_LAYERS)
    throw new PluginError('IMAGE_TOO_MANY_LAYERS', { layers: layers.length, limit: MAX_LAYERS });
  return layers.map((layer, at) => ({
    kind: validated ? 'blob' : 'unvalidated',
    digest: layer.digest,
    diffId: config.diffIds[at],
    size: validated || layer.size > 0 ? layer.size : undefined,
    mediaType: layer.mediaType,
    compression: compressionOf(layer, source),
    baseDirectory: layer.annotations.get(BASE_DIRECTORY),
    urls: layer.urls,
  }));
}

function compressionOf(layer: Descriptor, source: string): Compression {
  const format = layerFormat(layer.mediaType);
  switch (format.kind) {
    case 'tar':
      return format.compression;
    case 'encrypted':
      throw new PluginError('IMAGE_ENCRYPTED', { source });
    case 'unsupported':
      throw new PluginError('IMAGE_UNSUPPORTED', {
        source,
        mediaType: printable(layer.mediaType),
        advice: format.advice,
      });
  }
}
