import type { Logger } from '../../base/log.ts';
import type { CvmfsSettings } from '../../cvmfs/settings.ts';
import type { Store } from '../../store/store.ts';
import type { ImageSource } from './source.ts';

/** Services that a thin image needs to find its layers. */
export interface ThinOptions {
  /** Where descriptors are kept; undefined: nowhere. */
  readonly store: Store | undefined;
  readonly settings: () => Promise<CvmfsSettings>;
  /** Opens an image in a registry without credentials: a thin image must not choose whose password is used. */
  readonly anonymous: (reference: string) => Promise<ImageSource | undefined>;
  readonly log: Logger;
}

/**
 * The largest compressed blob of a thin image. A layer takes about 200 bytes in the descriptor, and 30 of them once
 * compressed; no image has a thousand layers.
 */
export const MAX_THIN_BLOB = 64 * 1024;
