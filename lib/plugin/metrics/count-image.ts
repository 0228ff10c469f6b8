import { stackKeyOrUndefined } from '../../store/layout/layer-key.ts';
import { type ImageChange, shortKey } from '../../store/records/totals-file.ts';

/**
 * An image made or deleted, for the totals. Undefined where nobody knows its stack.
 * @param uses of its record. @param fileBytes its `image_info`. @param fetchedBytes of layers that came for it
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
