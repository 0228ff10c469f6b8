/**
 * Sigstore bundles v0.3 (sigstore_bundle.proto), which cosign attaches from its version 3 on. Two forms: an envelope (DSSE)
 * with a statement about the image, or a signature over the bytes of the image's manifest. Timestamps of RFC 3161
 * authorities are not looked at, since policies cannot name such authorities.
 */
import { type Digest, hexOf, sha256Hex } from '../../base/digest.ts';
import { isSigstoreBundle, isStatement } from '../../oci/generated/validators.js';
import type { Signable } from '../policy/verdict.ts';
import type { SigstoreArtefact } from './artefact.ts';
import { type Certificate, certificateOf } from './certificate.ts';
import type { Claim } from './claim.ts';
import type { LogEntry } from './log-entry.ts';
import { documentOf, fromBase64, quoted, Refused, reading } from './refused.ts';

/** The second spelling is of versions before 0.3.2 of the specification. */
const MEDIA_TYPES: readonly string[] = [
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.dev.sigstore.bundle+json;version=0.3',
];
const STATEMENT = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** Other predicates are attestations: the same key may say of an image that it has holes. */
const SIGNATURE_PREDICATE = 'https://sigstore.dev/cosign/sign/v1';

interface RawCertificate {
  readonly rawBytes: string;
}
interface RawEntry {
  readonly logIndex?: string;
  readonly logId: { readonly keyId: string };
  readonly kindVersion: { readonly kind: string; readonly version: string };
  readonly integratedTime?: string;
  readonly inclusionPromise?: { readonly signedEntryTimestamp: string };
  readonly inclusionProof?: {
    readonly logIndex?: string;
    readonly rootHash: string;
    readonly treeSize: string;
    readonly hashes?: readonly string[];
    readonly checkpoint: { readonly envelope: string };
  };
  readonly canonicalizedBody: string;
}
interface RawMaterial {
  readonly publicKey?: object;
  readonly certificate?: RawCertificate;
  readonly x509CertificateChain?: { readonly certificates: readonly RawCertificate[] };
  readonly tlogEntries?: readonly RawEntry[];
}
interface RawEnvelope {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly sig: string }[];
}
interface RawMessage {
  readonly messageDigest?: { readonly algorithm: string; readonly digest: string };
  readonly signature: string;
}
interface RawBundle {
  readonly mediaType: string;
  readonly verificationMaterial: RawMaterial;
  readonly dsseEnvelope?: RawEnvelope;
  readonly messageSignature?: RawMessage;
}

/** The claim of a bundle, and the check of what it says of an image, for after its signature was verified. */
export interface BundleClaim extends Claim {
  /** @throws Refused (malformed, unsupported, other-digest) */
  readonly requireImage: (digest: Digest) => void;
}

/** @throws Refused (malformed, unsupported) */
export function bundleClaim(bytes: Uint8Array, image: Signable): BundleClaim {
  const bundle = documentOf(bytes, isSigstoreBundle, 'the bundle') as RawBundle;
  if (!MEDIA_TYPES.includes(bundle.mediaType))
    throw new Refused('unsupported', `the bundle has the type ${quoted(bundle.mediaType)}, not v0.3`);
  const { verificationMaterial: material, dsseEnvelope, messageSignature } = bundle;
  const sources = [material.publicKey, material.certificate, material.x509CertificateChain];
  if (sources.filter((source) => source !== undefined).length !== 1)
    throw new Refused(
      'malformed',
      'the bundle must have exactly one of publicKey, certificate, x509CertificateChain',
    );
  const common = {
    scheme: 'bundle' as const,
    certificate: () => certificatesIn(material).leaf,
    chain: () => certificatesIn(material).others,
    logEntries: () => (material.tlogEntries ?? []).map(toEntry),
  };
  if (dsseEnvelope !== undefined && messageSignature === undefined)
    return { ...common, ...inEnvelope(dsseEnvelope) };
  if (messageSignature !== undefined && dsseEnvelope === undefined)
    return { ...common, ...overManifest(messageSignature, image) };
  throw new Refused('malformed', 'the bundle must have exactly one of dsseEnvelope and messageSignature');
}

type Content = Pick<BundleClaim, 'signed' | 'signature' | 'logged' | 'requireImage'>;

/** True for a signature over the bytes of a manifest, which its reader then needs. */
export function isOverManifest(artefact: SigstoreArtefact): boolean {
  return artefact.kind === 'bundle' && Buffer.from(artefact.bytes).includes('"messageSignature"');
}

/** An envelope's signature is over its type and payload, each with its length (DSSE, "Pre-Authentication Encoding"). */
function inEnvelope({ payload, payloadType, signatures }: RawEnvelope): Content {
  if (payloadType !== STATEMENT)
    throw new Refused('unsupported', `the bundle has a payload of type ${quoted(payloadType)}`);
  const bytes = fromBase64(payload, 'the payload of the bundle');
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${bytes.length} `;
  return {
    signed: Buffer.concat([Buffer.from(head), bytes]),
    signature: fromBase64(signatures[0]?.sig ?? '', 'the signature of the bundle'),
    logged: { kind: 'dsse', sha256: sha256Hex(bytes) },
    requireImage: (digest) => requireStatement(bytes, digest),
  };
}

interface Statement {
  readonly _type: string;
  readonly subject: readonly { readonly digest: Readonly<Record<string, string>> }[];
  readonly predicateType: string;
}

function requireStatement(payload: Uint8Array, digest: Digest): void {
  const statement = documentOf(payload, isStatement, 'the statement') as Statement;
  if (statement._type !== STATEMENT_TYPE)
    throw new Refused('unsupported', `the statement has the type ${quoted(statement._type)}`);
  if (statement.predicateType !== SIGNATURE_PREDICATE)
    throw new Refused(
      'unsupported',
      `it is an attestation (${quoted(statement.predicateType)}), not a signature`,
    );
  const digests = statement.subject.map((subject) => subject.digest['sha256'] ?? 'none');
  if (!digests.includes(hexOf(digest)))
    throw new Refused('other-digest', `it is for the digest ${quoted(digests[0] ?? 'none')}`);
}

/** The bundle's own digest only identifies the data, so the signature is verified over the data. */
function overManifest({ messageDigest, signature }: RawMessage, { digest, document }: Signable): Content {
  const of =
    messageDigest &&
    Buffer.from(fromBase64(messageDigest.digest, 'the digest of the bundle')).toString('hex');
  const elsewhere = messageDigest?.algorithm === 'SHA2_256' && of !== hexOf(digest);
  if (elsewhere) throw new Refused('other-digest', `it is for the digest ${quoted(of ?? 'none')}`);
  if (document === undefined)
    throw new Refused(
      'unsupported',
      'it is a signature over the bytes of the manifest, which are not at hand',
    );
  return {
    signed: document,
    signature: fromBase64(signature, 'the signature of the bundle'),
    logged: { kind: 'hashedrekord', sha256: hexOf(digest) },
    requireImage: (other) => {
      if (sha256Hex(document) !== hexOf(other))
        throw new Refused('other-digest', 'it is for another manifest');
    },
  };
}

/** The signer's certificate comes first. The others are in any order, and a root among them counts for nothing. */
function certificatesIn(material: RawMaterial): { leaf: Certificate; others: Certificate[] } {
  const raw = material.certificate
    ? [material.certificate]
    : (material.x509CertificateChain?.certificates ?? []);
  const [leaf, ...others] = raw.map(({ rawBytes }) =>
    reading('a certificate of the bundle', () => certificateOf(fromBase64(rawBytes, 'its bytes'))),
  );
  if (leaf === undefined) throw new Refused('untrusted-chain', 'it has no certificate');
  return { leaf, others };
}

function toEntry(raw: RawEntry): LogEntry {
  const { kind, version } = raw.kindVersion;
  if (version !== '0.0.1' || (kind !== 'dsse' && kind !== 'hashedrekord'))
    throw new Refused('unsupported', `the log entry is a ${quoted(kind)} of version ${quoted(version)}`);
  const { inclusionPromise: promise, inclusionProof: proof } = raw;
  return {
    body: fromBase64(raw.canonicalizedBody, 'the body of the log entry'),
    integratedTime: Number(raw.integratedTime ?? '0'),
    logIndex: Number(raw.logIndex ?? '0'),
    logId: Buffer.from(fromBase64(raw.logId.keyId, 'the id of the log')).toString('hex'),
    promise: promise && fromBase64(promise.signedEntryTimestamp, 'the promise of the log'),
    proof: proof && {
      index: BigInt(proof.logIndex ?? '0'),
      treeSize: BigInt(proof.treeSize),
      rootHash: fromBase64(proof.rootHash, 'the root hash of the proof'),
      hashes: (proof.hashes ?? []).map((hash) => fromBase64(hash, 'a hash of the proof')),
      checkpoint: proof.checkpoint.envelope,
    },
  };
}
