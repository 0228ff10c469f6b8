/** Which layers of an image may be used from a repository, and the names of the store's records about them. */
import { type Digest, digestOf } from '../../base/digest.ts';
import type { FoundLayer } from '../../cvmfs/found-layer.ts';
import { type CvmfsKey, cvmfsKey } from '../../store/layout/layer-key.ts';
import { blobOfLayer, digestOfLayer, type ImageLayer } from '../source/image-layer.ts';
import type { ResolvedImage } from '../source/source.ts';

/** The reason for a layer that `isBase`. */
export const BASE_IS_COPIED = 'the layer above it goes below one of its directories';

/**
 * True for a layer below one with a base directory. The upper one copies that directory's attributes from the layer
 * right below, and is kept under a name for exactly these two layers: a published copy may have lost owners or the
 * fractions of times.
 */
export function isBase({ layers }: ResolvedImage, layer: ImageLayer): boolean {
  return layers.some((one, index) => {
    const above = layers[index + 1];
    return one === layer && above !== undefined && blobOfLayer(above)?.baseDirectory !== undefined;
  });
}

/**
 * True for a layer that a repository may have. Publishers write no layer under an invented digest, and none that goes
 * below a directory.
 */
export function isEligible(image: ResolvedImage, layer: ImageLayer): boolean {
  if (layer.kind === 'directory') return true;
  if (image.origin === undefined || layer.kind !== 'blob') return false;
  return layer.baseDirectory === undefined && layer.urls.length === 0;
}

/**
 * The name of the store's record: of all facts that decide on its content, which are the layer, its path, and its
 * attributes there.
 */
export function recordName(layer: ImageLayer, found: FoundLayer, counted: boolean): CvmfsKey {
  const content: Digest = digestOfLayer(layer) ?? digestOf(found.path);
  const { path, fingerprint, companion, needsIdmap, owners, repository } = found;
  // The remembered plan depends on these policies.
  const { owners: ofOwners, directories, root, capabilities } = repository.lostMetadata;
  const policies = [owners, ofOwners, directories, root, capabilities];
  const place = [path, fingerprint, companion, needsIdmap, counted, ...policies];
  return cvmfsKey({ content, place });
}
