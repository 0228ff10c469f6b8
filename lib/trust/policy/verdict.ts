/** The image that a signature is held against, and the answer. */
import type { Digest } from '../../base/digest.ts';
import type { DockerName } from './docker-name.ts';

/** The document that a signature has to name, and the reference that the image was asked for by. */
export interface Signable {
  /** Of the image's manifest, or of the index that names it. */
  readonly digest: Digest;
  /** Undefined where images have no name that a signature could carry (a layout, a tar). */
  readonly name: DockerName | undefined;
  /** The bytes whose digest it is, where they are at hand: a bundle may be a signature over them. */
  readonly document?: Uint8Array | undefined;
}

/** Why a signature does not count. */
export type RefusalCode =
  /** The signature does not fit its format. */
  | 'malformed'
  /** A format, an algorithm or a type of entry that graft does not know. */
  | 'unsupported'
  /** The signature is valid for another image. */
  | 'other-digest'
  /** The signature carries another reference than the requirement demands. */
  | 'other-identity'
  /** The signature carries no reference, and the requirement demands one. */
  | 'no-identity'
  /** No key of the requirement made the signature. */
  | 'unknown-key'
  | 'bad-signature'
  | 'key-expired'
  | 'key-revoked'
  | 'signature-expired'
  /** A log entry is demanded, and there is none. */
  | 'no-log-entry'
  | 'bad-log-entry'
  /** The certificate does not lead to a trusted authority, or is no certificate for signatures. */
  | 'untrusted-chain'
  | 'certificate-expired'
  /** The certificate names another issuer, address, host or URI. */
  | 'other-subject';

export interface Refusal {
  readonly code: RefusalCode;
  /** Facts for people, one line without a full stop, at most 200 characters; a stranger's text in it is `printable`. */
  readonly detail: string;
}

export type SignatureVerdict =
  | {
      readonly ok: true;
      /** Milliseconds since 1970 from which on it is not valid any more, by what is known now; undefined: no end. */
      readonly until: number | undefined;
      /** The author of the signature, for records: the file of the key, a fingerprint, an identity. `printable`. */
      readonly by: string;
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** The documents that were read for an image, all held against their digests. */
export interface FoundDocuments {
  /** Of the image's manifest; undefined where an image has none, or none that is fixed. */
  readonly digest: Digest | undefined;
  /** Of the indexes that lead to it, the outermost first. */
  readonly indexes: readonly Digest[];
}

/** The verdict of a single requirement on an image. The texts are for people and bounded. */
export type RequirementVerdict =
  | { readonly ok: true; readonly by: string; readonly until?: number | undefined; readonly signed?: Digest }
  | { readonly ok: false; readonly demanded: string | undefined; readonly found: string };
