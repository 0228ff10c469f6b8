import { MiB } from '../../base/limits.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';

/** How much a single layer may ask for, whatever the image says. Reasons beside each. */
export const DEFAULT_BUDGET: LayerBudget = {
  // Larger than any image we know of by far; it ends a decompression bomb before the disk does.
  tarBytes: 256 * 1024 * MiB,
  // A distribution has 10^5 files, a large node_modules tree 10^6.
  entries: 10_000_000,
  // gzip reaches 1029:1 on zeros (measured); real layers stay below 20:1, so a high ratio may last 1 GiB.
  ratio: 200,
  ratioFloor: 1024 * MiB,
  stallSeconds: 60,
};
