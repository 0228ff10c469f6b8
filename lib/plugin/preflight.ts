import { PluginError } from '../base/errors/error.ts';
import { MAX_LOWER_DIRS } from '../base/limits.ts';
import { blobOfLayer, digestOfLayer } from '../image/source/image-layer.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import type { AskedImage } from '../store/records/cached-images.ts';
import type { StackPlan } from '../store/records/stacks.ts';
import { checkDeclaredSize, type DiskLimit } from './limit.ts';

/**
 * Runs the checks that need no layer, before any layer is fetched.
 * @throws IMAGE_EXCEEDS_LIMIT, IMAGE_TOO_MANY_LAYERS
 */
export function checkImage(image: ResolvedImage, limit: DiskLimit | undefined): void {
  if (image.trust?.refused !== undefined) throw new Error('an image that the policy refuses came through');
  checkDeclaredSize(image, limit);
  const layers = new Set(
    image.layers.map((layer) => blobOfLayer(layer)?.diffId ?? digestOfLayer(layer) ?? layer),
  ).size;
  if (layers > MAX_LOWER_DIRS)
    throw new PluginError('IMAGE_TOO_MANY_LAYERS', { layers, limit: MAX_LOWER_DIRS });
}

/** The image as the store notes that it was asked for. */
export function asked({ name, manifestDigest }: ResolvedImage, { uses }: StackPlan): AskedImage {
  return { name, digest: manifestDigest, uses };
}
