import type { Certificate } from './certificate.ts';
import type { Scheme } from './keys.ts';
import type { LogEntry } from './log-entry.ts';

/** A signature as an artefact carries it, of either scheme. Nothing of it has been verified. */
export interface Claim {
  readonly scheme: Scheme;
  /** The bytes that are signed. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Read when a requirement wants it, since others do not look at it. @throws Refused */
  readonly certificate: () => Certificate;
  /** Certificates between the signer's and a root, in any order. @throws Refused */
  readonly chain: () => readonly Certificate[];
  /** Empty: it was not logged. @throws Refused */
  readonly logEntries: () => readonly LogEntry[];
  /** The kind of log entry for it, and the digest of the data in it, in hex. */
  readonly logged: { readonly kind: 'hashedrekord' | 'dsse'; readonly sha256: string };
}
