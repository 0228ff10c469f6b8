/** Which unused layers a clean takes when it need not take all of them. */
import { usedThrough, type VolumeName } from '../layout/layer-key.ts';
import { cachedImages } from '../records/cached-images.ts';
import type { Store } from '../store.ts';
import { type CollectPlan, sumOf } from './collect.ts';

/**
 * The volumes of the images that were used least recently, until they have `wantedBytes` together. A layer is as old as
 * the last create or pull of any image that needs it; one that no remembered image needs is the oldest. All volumes of an
 * age go together, since the rest of an image is of little use.
 */
export function leastUsed(
  store: Store,
  { unused, sizes }: Pick<CollectPlan, 'unused' | 'sizes'>,
  wantedBytes: number,
): readonly VolumeName[] {
  const usedAt = new Map<string, number>();
  for (const { uses, usedMs } of cachedImages(store.layout))
    for (const use of uses) usedAt.set(use, Math.max(usedAt.get(use) ?? 0, usedMs));
  const byAge = Map.groupBy(unused, (volume) => usedAt.get(usedThrough(volume)) ?? 0);
  const chosen: VolumeName[] = [];
  let bytes = 0;
  for (const [, volumes] of [...byAge].sort(([a], [b]) => a - b)) {
    if (bytes >= wantedBytes) break;
    chosen.push(...volumes);
    bytes += sumOf(sizes, volumes);
  }
  return chosen;
}
