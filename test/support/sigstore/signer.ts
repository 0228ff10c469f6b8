/**
 * Makes signatures as cosign and Rekor do, by the published formats. These functions are for what the programs cannot be made to
 * do in a test: wrong certificates, wrong log entries, dates of choice.
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { type Digest, hexOf } from '../../../lib/base/digest.ts';
import type { AttachedSignature, BundleSignature } from '../../../lib/trust/sigstore/artefact.ts';
import { type Pair, pem, spki } from './x509.ts';

export const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const sha256 = (...parts: readonly Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

export function payloadFor(digest: Digest, reference: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': reference },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  );
}

export const ANNOTATIONS = {
  signature: 'dev.cosignproject.cosign/signature',
  certificate: 'dev.sigstore.cosign/certificate',
  chain: 'dev.sigstore.cosign/chain',
  log: 'dev.sigstore.cosign/bundle',
} as const;

export function attached(
  payload: Uint8Array,
  annotations: Readonly<Record<string, string>>,
): AttachedSignature {
  return { kind: 'attached', from: 'a test', payload, annotations: new Map(Object.entries(annotations)) };
}

/** The signature of an image in the old scheme, without certificate and log. */
export function signAttached(payload: Uint8Array, key: KeyObject): AttachedSignature {
  return attached(payload, { [ANNOTATIONS.signature]: base64(signBy(key, payload)) });
}

/** SHA-256, but for Ed25519, whose signatures are over the bytes themselves. */
export function signBy(key: KeyObject, data: Uint8Array, digest = 'sha256'): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? null : digest, data, key);
}

/** The body of a log entry for a signature of the old scheme. @param signer PEM of the certificate or the key */
export function hashedrekord(payload: Uint8Array, signature: Uint8Array, signer: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      apiVersion: '0.0.1',
      kind: 'hashedrekord',
      spec: {
        data: { hash: { algorithm: 'sha256', value: sha256(payload).toString('hex') } },
        signature: { content: base64(signature), publicKey: { content: base64(signer) } },
      },
    }),
  );
}

/** The body of a log entry for an envelope. */
export function dsseBody(payload: Uint8Array, signature: Uint8Array, signer: string): Buffer {
  const hash = (bytes: Uint8Array) => ({ algorithm: 'sha256', value: sha256(bytes).toString('hex') });
  return Buffer.from(
    JSON.stringify({
      apiVersion: '0.0.1',
      kind: 'dsse',
      spec: {
        envelopeHash: hash(Buffer.from('the envelope')),
        payloadHash: hash(payload),
        signatures: [{ signature: base64(signature), verifier: base64(signer) }],
      },
    }),
  );
}

export interface Logged {
  readonly body: Buffer;
  /** Seconds since 1970. */
  readonly time: number;
  readonly index: number;
}

/** The promise of a log: its signature over the entry. */
export function promise(log: Pair, { body, time, index }: Logged): Buffer {
  const logID = sha256(spki(log)).toString('hex');
  const signed = JSON.stringify({ body: base64(body), integratedTime: time, logID, logIndex: index });
  return sign('sha256', Buffer.from(signed), log.privateKey);
}

/** The annotation with a log entry. */
export function receipt(log: Pair, entry: Logged): string {
  const { body, time, index } = entry;
  return JSON.stringify({
    SignedEntryTimestamp: base64(promise(log, entry)),
    Payload: {
      body: base64(body),
      integratedTime: time,
      logIndex: index,
      logID: sha256(spki(log)).toString('hex'),
    },
  });
}

/** A tree of a log with `before` entries, this entry, and `after` more, and the proof that it is in there. */
export function proof(log: Pair, body: Buffer, before: number, after: number) {
  const leaf = (bytes: Uint8Array) => sha256(Buffer.of(0), bytes);
  const other = (n: number) => leaf(Buffer.from(`entry ${n}`));
  const leaves = Array.from({ length: before + 1 + after }, (_, n) => (n === before ? leaf(body) : other(n)));
  const { root, path } = tree(leaves, before);
  const note = `log.example - 1\n${leaves.length}\n${base64(root)}\n`;
  const hint = sha256(spki(log)).subarray(0, 4);
  const signature = Buffer.concat([hint, sign('sha256', Buffer.from(note), log.privateKey)]);
  return {
    logIndex: String(before),
    rootHash: base64(root),
    treeSize: String(leaves.length),
    hashes: path.map(base64),
    checkpoint: { envelope: `${note}\n\u2014 log.example ${base64(signature)}\n` },
  };
}

/** The root of a Merkle tree and the audit path of a leaf, by the recursive definition (RFC 9162, 2.1.1 and 2.1.3.1). */
function tree(leaves: readonly Buffer[], at: number): { root: Buffer; path: Buffer[] } {
  const [only] = leaves;
  if (only !== undefined && leaves.length === 1) return { root: only, path: [] };
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const left = tree(leaves.slice(0, half), at);
  const right = tree(leaves.slice(half), at - half);
  const root = sha256(Buffer.of(1), left.root, right.root);
  return { root, path: at < half ? [...left.path, right.root] : [...right.path, left.root] };
}

/** An entry of a bundle. */
export function tlogEntry(log: Pair, entry: Logged, kind: string, evidence: object): Record<string, unknown> {
  return {
    logIndex: String(entry.index),
    logId: { keyId: base64(sha256(spki(log))) },
    kindVersion: { kind, version: '0.0.1' },
    integratedTime: String(entry.time),
    ...evidence,
    canonicalizedBody: base64(entry.body),
  };
}

export function statementFor(digest: Digest, predicateType = 'https://sigstore.dev/cosign/sign/v1'): Buffer {
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { sha256: hexOf(digest) } }],
      predicateType,
      predicate: {},
    }),
  );
}

const STATEMENT = 'application/vnd.in-toto+json';

/** The bytes that an envelope's signature is over. */
export function envelopeBytes(payload: Uint8Array, type = STATEMENT): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
}

export interface Envelope {
  readonly payload: Buffer;
  readonly signature: Buffer;
}

export function envelope(payload: Buffer, key: KeyObject, digest?: string): Envelope {
  return { payload, signature: signBy(key, envelopeBytes(payload), digest) };
}

/** A bundle as a document, for tests to change. */
export function bundleOf({ payload, signature }: Envelope, material: object): Record<string, unknown> {
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: material,
    dsseEnvelope: {
      payload: base64(payload),
      payloadType: STATEMENT,
      signatures: [{ sig: base64(signature) }],
    },
  };
}

export function bundle(document: object | string): BundleSignature {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  return { kind: 'bundle', from: 'a test', bytes: Buffer.from(text) };
}

export const keyPem = (pair: Pair) => pem(spki(pair), 'PUBLIC KEY');
