/** The names of DUCC's layout, relative to the root of a repository. */
import { type Digest, hexOf } from '../../base/digest.ts';

/** Below it a running publication keeps its lock, and in a directory target its unfinished files. */
export const WORK = '.graft-publish';
export const LAYERS = '.layers';
export const METADATA = '.metadata';
/** Manifests of images whose tag has moved on, each below the time until which it is kept. */
export const KEPT = `${METADATA}/.kept`;

/** The directory of a layer, by the digest of its compressed blob. */
export function layerPath(digest: Digest): string {
  const hex = hexOf(digest);
  return `${LAYERS}/${hex.slice(0, 2)}/${hex}`;
}

/** The directory of an image's documents, by its public name. */
export function metadataPath(name: string): string {
  return `${METADATA}/${name}`;
}

/** In each image's directory: the registry's own bytes, and DUCC's form of the manifest, which is written last. */
export const DOCUMENTS = {
  index: 'index.json',
  manifest: 'oci-manifest.json',
  config: 'config.json',
  complete: 'manifest.json',
} as const;
