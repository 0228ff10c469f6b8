import { KiB, MiB } from '../../base/limits.ts';

/** Size limits for the store's own files, so that a damaged or replaced file cannot fill the memory. */

/** The record of a layer holds numbers and digests. */
export const MAX_LAYER_RECORD_BYTES = 64 * KiB;
/** The names of a layer's marked directories: the unpacker's budget (8 MiB), plus one or two bytes for each name. */
export const MAX_NAMES_BYTES = 16 * MiB;
/**
 * An image record names up to 500 lower directories (up to a kilobyte each on CVMFS) and the origin of up to 1,000
 * layers.
 */
export const MAX_IMAGE_RECORD_BYTES = 4 * MiB;
/** A lease names the layers of one image, at most twice: 500 lower directories of 90 bytes. */
export const MAX_LEASE_BYTES = MiB;
export const MAX_MARKER_BYTES = MiB;
export const MAX_FACT_BYTES = 16 * MiB;
/**
 * Some hundred lines: the repositories that delivered one layer. Beyond that, further repositories are asked each
 * time.
 */
export const MAX_GRANTS_BYTES = 64 * KiB;
/** A fetch refuses manifests and configurations above 4 MiB. */
export const MAX_BLOB_BYTES = 4 * MiB;
/** Each change is one line; a reader that finds more than a thousand lines replaces them by one. */
export const MAX_TOTALS_BYTES = MiB;
/** Upper bounds after a clean for what the store remembers of images: per directory (bounds.ts), and together. */
export const MAX_BLOBS_BYTES = 128 * MiB;
export const MAX_STACKS_BYTES = 64 * MiB;
export const MAX_SOURCES_BYTES = 64 * MiB;
export const MAX_CVMFS_RECORDS_BYTES = 256 * MiB;
export const MAX_CACHED_BYTES = 32 * MiB;
export const MAX_FACTS_BYTES =
  MAX_BLOBS_BYTES + MAX_STACKS_BYTES + MAX_SOURCES_BYTES + MAX_CVMFS_RECORDS_BYTES + MAX_CACHED_BYTES;
export const MAX_NUMBER_BYTES = 4 * KiB;
export const MAX_BOOT_BYTES = 4 * KiB;
