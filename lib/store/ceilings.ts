import { KiB, MiB } from '../base/limits.ts';

/** Ceilings for the store's own files: whatever stands in their place must not fill the memory. */

/** A layer's record names its implied directories, an image's its layers: hundreds of thousands at the most. */
export const MAX_RECORD_BYTES = 256 * MiB;
/** A lease names the layers of one image, twice at the most: 500 lower directories of 90 bytes. */
export const MAX_LEASE_BYTES = MiB;
export const MAX_MARKER_BYTES = MiB;
export const MAX_FACT_BYTES = 16 * MiB;
/** Manifests and configurations end at 4 MiB when they are fetched. */
export const MAX_BLOB_BYTES = 4 * MiB;
/** A line a create between two cleans. */
export const MAX_TOTALS_BYTES = 64 * MiB;
export const MAX_NUMBER_BYTES = 4 * KiB;
export const MAX_BOOT_BYTES = 4 * KiB;
