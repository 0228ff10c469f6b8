import { digestOf } from '../../base/digest.ts';
import { OCI_CONFIG, OCI_MANIFEST } from '../../oci/media-types.ts';
import type { BlobLayer } from './image-layer.ts';

/** The manifest of an image whose file has none: the same bytes for the same configuration and layers. */
export function madeManifest(config: Uint8Array, layers: readonly BlobLayer[]): Uint8Array {
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  };
  return Buffer.from(JSON.stringify(manifest));
}
