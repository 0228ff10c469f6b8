import { fitsWildcard } from '../../base/wildcard.ts';
import type { CachedImage } from '../records/cached-images.ts';

/** Why a clean spares an image: the pattern that its name fits, or `pull --keep`; undefined where a clean may take it. */
export function whyKept(
  { name, kept }: Pick<CachedImage, 'name' | 'kept'>,
  keep: readonly string[],
): { readonly pattern: string | undefined } | undefined {
  const pattern = keep.find((one) => fitsWildcard(name, one));
  return pattern === undefined && !kept ? undefined : { pattern };
}
