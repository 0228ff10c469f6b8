import { stackKeyOrUndefined } from '../../store/layout/layer-key.ts';
import { type ImageChange, shortKey } from '../../store/records/totals-file.ts';

/**
 * The change of the totals for an image that was made or deleted. Undefined when the image's stack is not known.
 * @param uses those of the image's record
 * @param fileBytes the image's `image_info`
 * @param fetchedBytes bytes of the layers that were fetched for the image
 */
export function countImage(
  uses: readonly string[],
  fileBytes: number,
  images: 1 | -1,
  fetchedBytes = 0,
): ImageChange | undefined {
  for (const use of uses) {
    const stack = stackKeyOrUndefined(use);
    if (stack !== undefined) return { stack: shortKey(stack), images, fileBytes, fetchedBytes };
  }
  return undefined;
}
