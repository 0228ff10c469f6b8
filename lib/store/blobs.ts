import { type Digest, digestOf } from '../base/digest.ts';
import { hasCode } from '../sys/errno.ts';
import { readFile } from '../sys/read.ts';
import { MAX_BLOB_BYTES } from './ceilings.ts';
import type { Layout } from './layout.ts';
import { replaceSmall } from './staging.ts';

/**
 * Manifests and image configurations by digest: what lets a digest-pinned image start without a request.
 * Not synced: whatever a crash left is found out by its digest and fetched again.
 */
export class Blobs {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The bytes, verified; undefined when they are not there or not what their name says. */
  get(digest: Digest): Uint8Array | undefined {
    try {
      const bytes = readFile(this.#layout.blob(digest), MAX_BLOB_BYTES);
      return digestOf(bytes) === digest ? bytes : undefined;
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EFBIG', 'EISDIR', 'EIO', 'EUCLEAN')) return undefined;
      throw error;
    }
  }

  /** `bytes` must have been verified against `digest`. */
  put(digest: Digest, bytes: Uint8Array): void {
    replaceSmall(this.#layout, this.#layout.blob(digest), 'blob', bytes);
  }
}
