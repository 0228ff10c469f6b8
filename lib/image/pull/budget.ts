import { MiB } from '../../base/limits.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';

/** The limits of a single layer, whatever the image declares, each with its reason. */
export const DEFAULT_BUDGET: LayerBudget = {
  // Far larger than any image that we know. A decompression bomb ends here before the disk is full.
  tarBytes: 256 * 1024 * MiB,
  // A distribution has 10^5 files, a large node_modules tree 10^6.
  entries: 10_000_000,
  // gzip reaches 1029:1 on zeros (measured); real layers stay below 20:1, so a high ratio may last 1 GiB.
  ratio: 200,
  ratioFloor: 1024 * MiB,
  stallSeconds: 60,
};
