import { type Digest, digestOf, sha256Hex } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import { silentLogger } from '../../base/log.ts';
import { MAX_BLOB_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { readFactBytes } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import { addToTotals } from './totals.ts';

/** A document and to whom it may be given. */
export interface KeptBlob {
  readonly bytes: Uint8Array;
  readonly grade: Grade;
}

/** Hex digits of the hash of a place in a file's name: nobody finds two places with the same 128 bits. */
const PLACE_DIGITS = 32;
const GRADES: readonly Grade[] = ['everybody', 'cell', 'asked'];

/**
 * Manifests and image configurations by digest: what lets a digest-pinned image start without a request. Those that an
 * anonymous caller got are kept under their digest, all others under their digest and the place that they came from
 * (grants.ts), so that whoever names a digest from elsewhere does not find them.
 * Not synced: whatever a crash left is found out by its digest and fetched again.
 */
export class Blobs {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The bytes, verified; undefined when they are not there or not what their name says. */
  get(digest: Digest, place: string): KeptBlob | undefined {
    for (const grade of GRADES) {
      const bytes = readFactBytes(this.#path(digest, grade, place), MAX_BLOB_BYTES);
      if (bytes !== undefined && digestOf(bytes) === digest) return { bytes, grade };
    }
    return undefined;
  }

  /** `bytes` must have been verified against `digest`. */
  put(digest: Digest, { bytes, grade }: KeptBlob, place: string): void {
    replaceSmall(this.#layout, this.#path(digest, grade, place), 'blob', bytes);
    addToTotals({ layout: this.#layout }, { factBytes: bytes.length }, silentLogger);
  }

  /** The blobs that a caller whose image comes from `place` may find. */
  of(place: string): BlobsOfPlace {
    return {
      get: (digest) => this.get(digest, place),
      put: (digest, blob) => this.put(digest, blob, place),
    };
  }

  #path(digest: Digest, grade: Grade, place: string): string {
    const path = this.#layout.blob(digest);
    return grade === 'everybody' ? path : `${path}.${grade}-${sha256Hex(place).slice(0, PLACE_DIGITS)}`;
  }
}

export interface BlobsOfPlace {
  get(digest: Digest): KeptBlob | undefined;
  put(digest: Digest, blob: KeptBlob): void;
}

/** The hex of the digest in the name of a kept blob. */
export function blobHex(name: string): string {
  return name.slice(0, 64);
}
