/** The requirements of a policy, as typed values. `read-policy.ts` makes them; everything in them has been checked. */
import type { DockerName } from './docker-name.ts';

/** The bytes of a key, a keyring or certificates, read when the policy was read. */
export interface Material {
  /** The path of the file, or the policy's key with the data (`keyData`), for sentences and records. */
  readonly from: string;
  readonly bytes: Uint8Array;
}

/** How the reference in a signature has to agree with the reference that the image was asked for by. */
export type SignedIdentity =
  | { readonly type: 'matchExact' }
  | { readonly type: 'matchRepoDigestOrExact' }
  | { readonly type: 'matchRepository' }
  | { readonly type: 'exactReference'; readonly reference: DockerName }
  | { readonly type: 'exactRepository'; readonly repository: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string };

/** A text that has to be equal, or a pattern in which `*` stands for any characters but `/` (`text-rule.ts`). */
export type TextRule = { readonly equals: string } | { readonly pattern: string };

/** Whom a certificate of a CI system has to name: graft's own setting `trust.identities`. */
export interface CertificateIdentity {
  readonly issuer: TextRule;
  /** A URI among the subject alternative names. */
  readonly uri: TextRule;
}

export interface SignedBy {
  readonly type: 'signedBy';
  /** Keyrings, binary or armoured. A signature by any key in any of them is enough. */
  readonly keyrings: readonly Material[];
  readonly signedIdentity: SignedIdentity;
}

/** Keys in PEM; a signature by any of them is enough. */
interface TrustedKeys {
  readonly kind: 'keys';
  readonly keys: readonly Material[];
}

/** Certificates of an authority that vouches for a login; `rekor` is then not empty. */
export interface TrustedFulcio {
  readonly kind: 'fulcio';
  readonly ca: Material;
  readonly oidcIssuer: string;
  readonly subjectEmail: string;
  /** Further identities, each accepted in place of the issuer and the address above. */
  readonly identities: readonly CertificateIdentity[];
}

/** Certificates of the operator's own authority; `rekor` is then empty. One of the subjects is set at least. */
export interface TrustedPki {
  readonly kind: 'pki';
  readonly roots: Material;
  readonly intermediates: Material | undefined;
  readonly subjectEmail: string | undefined;
  readonly subjectHostname: string | undefined;
}

export interface SigstoreSigned {
  readonly type: 'sigstoreSigned';
  readonly trusted: TrustedKeys | TrustedFulcio | TrustedPki;
  /** Public keys of the transparency log in PEM, any of which is enough; empty: no entry of a log is demanded. */
  readonly rekor: readonly Material[];
  readonly signedIdentity: SignedIdentity;
  /** A bundle, which carries no reference, is accepted although `signedIdentity` cannot be checked. */
  readonly acceptsUnnamed: boolean;
}

export type Requirement =
  | { readonly type: 'insecureAcceptAnything' }
  | { readonly type: 'reject' }
  | SignedBy
  | SigstoreSigned;
