/** The bodies of log entries, which name the signature, its key or certificate, and the digest of the data. */
import { isLoggedEnvelope, isLoggedSignature } from '../../oci/generated/validators.js';
import { same } from './certificate.ts';
import { blocksInText } from './pem.ts';
import { documentOf, fromBase64, quoted, Refused, reading } from './refused.ts';

/** The signature that a log entry has to be about. */
export interface Logged {
  readonly signature: Uint8Array;
  /** The DER of the certificate, or of the key where there is none. */
  readonly signer: Uint8Array;
  /** The data's digest in hex, with the kind of entry in which logs keep it. */
  readonly kind: 'hashedrekord' | 'dsse';
  readonly sha256: string;
}

interface LoggedSignature {
  readonly spec: {
    readonly data: { readonly hash: Hash };
    readonly signature: { readonly content: string; readonly publicKey: { readonly content: string } };
  };
}
interface LoggedEnvelope {
  readonly spec: {
    readonly payloadHash: Hash;
    readonly signatures: readonly { readonly signature: string; readonly verifier: string }[];
  };
}
interface Hash {
  readonly algorithm: string;
  readonly value: string;
}

const WHAT = 'the body of the log entry';

/** Checks that a log entry is about a signature. @throws Refused (malformed, unsupported, bad-log-entry) */
export function requireAbout(body: Uint8Array, expected: Logged): void {
  const { hash, signature, signer } = expected.kind === 'dsse' ? envelopeIn(body) : signatureIn(body);
  if (hash.algorithm !== 'sha256')
    throw new Refused('unsupported', `the log entry has a digest by ${quoted(hash.algorithm)}`);
  if (hash.value !== expected.sha256) throw new Refused('bad-log-entry', 'the log entry is about other data');
  if (!same(fromBase64(signature, WHAT), expected.signature))
    throw new Refused('bad-log-entry', 'the log entry is about another signature');
  const pem = Buffer.from(fromBase64(signer, WHAT)).toString('latin1');
  const [block, ...more] = reading(WHAT, () => blocksInText(pem));
  if (block === undefined || more.length > 0 || !same(block.der, expected.signer))
    throw new Refused('bad-log-entry', 'the log entry is about the signature of another key or certificate');
}

interface Said {
  readonly hash: Hash;
  readonly signature: string;
  /** PEM in base64. */
  readonly signer: string;
}

function signatureIn(body: Uint8Array): Said {
  const { spec } = documentOf(body, isLoggedSignature, WHAT) as LoggedSignature;
  const { content, publicKey } = spec.signature;
  return { hash: spec.data.hash, signature: content, signer: publicKey.content };
}

function envelopeIn(body: Uint8Array): Said {
  const { spec } = documentOf(body, isLoggedEnvelope, WHAT) as LoggedEnvelope;
  const [only] = spec.signatures;
  if (only === undefined) throw new Refused('malformed', 'the log entry has no signature');
  return { hash: spec.payloadHash, signature: only.signature, signer: only.verifier };
}
