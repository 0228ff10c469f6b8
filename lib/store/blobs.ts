import { type Digest, digestOf } from '../base/digest.ts';
import { silentLogger } from '../base/log.ts';
import { MAX_BLOB_BYTES } from './ceilings.ts';
import type { Layout } from './layout.ts';
import { readFactBytes } from './read-file.ts';
import { replaceSmall } from './staging.ts';
import { addToTotals } from './totals.ts';

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
    const bytes = readFactBytes(this.#layout.blob(digest), MAX_BLOB_BYTES);
    return bytes !== undefined && digestOf(bytes) === digest ? bytes : undefined;
  }

  /** `bytes` must have been verified against `digest`. */
  put(digest: Digest, bytes: Uint8Array): void {
    replaceSmall(this.#layout, this.#layout.blob(digest), 'blob', bytes);
    addToTotals({ layout: this.#layout }, { factBytes: bytes.length }, silentLogger);
  }
}
