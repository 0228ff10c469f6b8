import { type Digest, digestOf, sha256Hex } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import { silentLogger } from '../../base/log.ts';
import { MAX_BLOB_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { readFactBytes } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import { addToTotals } from './totals.ts';

/** A manifest or an image configuration, and which callers may have it. */
export interface KeptBlob {
  readonly bytes: Uint8Array;
  readonly grade: Grade;
}

/** Hex digits of the repository's hash in a file name: 128 bits, for which nobody can construct a collision. */
const PLACE_DIGITS = 32;
const GRADES: readonly Grade[] = ['everybody', 'cell', 'asked'];

/**
 * Manifests and image configurations by digest: with them, a create of a digest-pinned image needs no request. A
 * document that an anonymous caller got is kept under its digest; every other document is kept under its digest and
 * the repository that it came from (grants.ts). So a caller who names the digest with another repository does not
 * find it.
 * Nothing is synced: a document that a crash damaged fails its digest check and is fetched again.
 */
export class Blobs {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The verified bytes; undefined when the document is missing or does not match its digest. */
  get(digest: Digest, place: string): KeptBlob | undefined {
    for (const grade of GRADES) {
      const bytes = readFactBytes(this.#path(digest, grade, place), MAX_BLOB_BYTES);
      if (bytes !== undefined && digestOf(bytes) === digest) return { bytes, grade };
    }
    return undefined;
  }

  /** Keeps a document. The caller has verified `bytes` against `digest`. */
  put(digest: Digest, { bytes, grade }: KeptBlob, place: string): void {
    replaceSmall(this.#layout, this.#path(digest, grade, place), 'blob', bytes);
    addToTotals({ layout: this.#layout }, { factBytes: bytes.length }, silentLogger);
  }

  /** The documents that a caller whose image comes from `place` may find. */
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

/** The hex digits of the digest in the file name of a kept document. */
export function blobHex(name: string): string {
  return name.slice(0, 64);
}
