import type { FoundAt } from '../../oci/resolve-index.ts';
import type { TrustRecord } from '../../store/records/image-record.ts';
import type { SignatureRepository } from '../../trust/find/sigstore-artefacts.ts';
import type { ImageSource, ResolvedImage } from './source.ts';
import { WrappedSource } from './wrapped-source.ts';

/** The part of lib/trust/guard.ts that sources use. */
export interface ImageGuard {
  /** The CVMFS repositories whose layers may be used although a signature is demanded. */
  readonly acceptsUnverified: readonly string[];
  /** The verdict that lets the image of a manifest through without a look at its signatures; undefined: there is none. */
  accepted(digest: string | undefined): TrustRecord | undefined;
  /**
   * Lets the image through or refuses it.
   * @param repository of the image, in which its signatures may lie
   * @throws TRUST_*, and errors of a registry that has signatures
   */
  admit(documents: FoundAt, signal: AbortSignal, repository?: SignatureRepository): Promise<TrustRecord>;
}

/**
 * A source whose images a policy for signatures has let through. The source asks the guard between the manifest and the
 * configuration; this class asks for images without a manifest, and refuses an image about which nobody has asked.
 */
export class GuardedSource extends WrappedSource {
  readonly #guard: ImageGuard;
  readonly #hasManifest: boolean;

  /** @param hasManifest false: nothing about the image can be signed, so that its name alone decides */
  constructor(inner: ImageSource, guard: ImageGuard, hasManifest: boolean) {
    super(inner);
    this.#guard = guard;
    this.#hasManifest = hasManifest;
  }

  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    if (!this.#hasManifest) {
      const trust = await this.#guard.admit({ digest: undefined, indexes: [] }, signal);
      return { ...(await this.inner.resolve(signal)), trust };
    }
    const image = await this.inner.resolve(signal);
    const trust = this.#guard.accepted(image.manifestDigest);
    if (trust === undefined) throw new Error('a source has not asked whether its image may run');
    // Bytes on CVMFS are not held against the digests that a signature covers.
    if (trust.signed === undefined) return { ...image, trust };
    return { ...image, trust, inPlaceFrom: this.#guard.acceptsUnverified };
  }
}
