/** A signature as cosign and skopeo attach it: a layer of the manifest at the tag `sha256-<hex>.sig`. */
export interface AttachedSignature {
  readonly kind: 'attached';
  /** The place where it was found, for sentences: `tag sha256-….sig, layer 2`. */
  readonly from: string;
  readonly payload: Uint8Array;
  /** The layer's annotations: signature, certificate, chain, log entry. A stranger wrote them. */
  readonly annotations: ReadonlyMap<string, string>;
}

/** A Sigstore bundle, from the referrers of the image. */
export interface BundleSignature {
  readonly kind: 'bundle';
  readonly from: string;
  readonly bytes: Uint8Array;
}

export type SigstoreArtefact = AttachedSignature | BundleSignature;
