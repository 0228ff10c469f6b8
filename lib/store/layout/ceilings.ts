import { KiB, MiB } from '../../base/limits.ts';

/** Ceilings for the store's own files: whatever stands in their place must not fill the memory. */

/** The record of a layer holds numbers and digests. */
export const MAX_LAYER_RECORD_BYTES = 64 * KiB;
/** The names of a layer's marked directories: the budget of the unpacker (8 MiB) with a byte or two for each more. */
export const MAX_NAMES_BYTES = 16 * MiB;
/** An image names 500 lower directories, of up to a kilobyte on CVMFS, and says of 1,000 layers where each came from. */
export const MAX_IMAGE_RECORD_BYTES = 4 * MiB;
/** A lease names the layers of one image, twice at the most: 500 lower directories of 90 bytes. */
export const MAX_LEASE_BYTES = MiB;
export const MAX_MARKER_BYTES = MiB;
export const MAX_FACT_BYTES = 16 * MiB;
/** Some hundred lines: repositories that have one layer. Later ones are delivered again each time. */
export const MAX_GRANTS_BYTES = 64 * KiB;
/** Manifests and configurations end at 4 MiB when they are fetched. */
export const MAX_BLOB_BYTES = 4 * MiB;
/** A line a change; whoever reads more than a thousand of them makes one. */
export const MAX_TOTALS_BYTES = MiB;
/** What the store remembers of images at the most after a clean, by directory (bounds.ts), and together. */
export const MAX_BLOBS_BYTES = 128 * MiB;
export const MAX_STACKS_BYTES = 64 * MiB;
export const MAX_SOURCES_BYTES = 64 * MiB;
export const MAX_PUBLISHED_BYTES = 256 * MiB;
export const MAX_FACTS_BYTES = MAX_BLOBS_BYTES + MAX_STACKS_BYTES + MAX_SOURCES_BYTES + MAX_PUBLISHED_BYTES;
export const MAX_NUMBER_BYTES = 4 * KiB;
export const MAX_BOOT_BYTES = 4 * KiB;
