/** X.509 certificates of version 3, as RFC 5280 writes them. */
import { X509Certificate } from 'node:crypto';
import * as der from './der.ts';
import { type Extensions, extensionsOf } from './extensions.ts';
import { holds, type PublicKey, publicKeyOf } from './keys.ts';
import type { PemBlock } from './pem.ts';
import { Refused } from './refused.ts';

export interface Certificate extends Extensions {
  /** The whole certificate, by which certificates are compared. */
  readonly der: Uint8Array;
  /** Names as DER, which are compared byte for byte, as Go does. */
  readonly issuerName: Uint8Array;
  readonly subjectName: Uint8Array;
  /** Milliseconds since 1970; both ends belong to it. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly key: PublicKey;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Object identifier. */
  readonly algorithm: string;
}

/** A certificate of Fulcio has 1 KB, a large one of a company 4 KB. */
const MAX_CERTIFICATE = 32 * 1024;

const VERSION_3 = 2;

/** @throws Refused (malformed, unsupported) */
export function certificateOf(bytes: Uint8Array): Certificate {
  if (bytes.length > MAX_CERTIFICATE)
    throw new Refused('malformed', `it has more than ${MAX_CERTIFICATE} bytes`);
  const outer = der.fieldsOf(der.readDer(bytes));
  const signed = outer.take(der.SEQUENCE);
  const algorithm = outer.take(der.SEQUENCE);
  const signature = der.wholeBitsOf(outer.take(der.BIT_STRING));
  outer.end();
  const part = signedPart(der.fieldsOf(signed), algorithm);
  requireReadable(bytes, part);
  return { der: bytes, signed: signed.whole, signature, ...part };
}

/**
 * The runtime's reader looks into parts that are only compared here, such as names. A certificate that one of the two
 * readers cannot read is refused.
 */
function requireReadable(bytes: Uint8Array, { names }: SignedPart): void {
  let read: X509Certificate;
  try {
    read = new X509Certificate(Buffer.from(bytes));
  } catch {
    throw new Refused('malformed', 'it is not a certificate');
  }
  const named = names.emails.length + names.hosts.length + names.uris.length > 0;
  if (named && read.subjectAltName === undefined)
    throw new Refused('malformed', 'it has names that are not in their form');
}

type SignedPart = Omit<Certificate, 'der' | 'signed' | 'signature'>;

/** The fields that the issuer has signed (TBSCertificate). */
function signedPart(fields: der.Fields, outerAlgorithm: der.Element): SignedPart {
  const version = der.fieldsOf(fields.take(), 0xa0).take(der.INTEGER);
  if (der.smallNumberOf(version) !== VERSION_3) throw new Refused('unsupported', 'it is not of version 3');
  der.requireInteger(fields.take(der.INTEGER).content);
  const algorithm = fields.take(der.SEQUENCE);
  if (!same(algorithm.whole, outerAlgorithm.whole))
    throw new Refused('malformed', 'it names two algorithms of its signature');
  const issuerName = fields.take(der.SEQUENCE).whole;
  const validity = der.fieldsOf(fields.take());
  const [notBefore, notAfter] = [der.timeOf(validity.take()), der.timeOf(validity.take())];
  validity.end();
  const subjectName = fields.take(der.SEQUENCE).whole;
  const key = publicKeyOf(fields.take(der.SEQUENCE).whole);
  const list = fields.maybe(0xa3);
  fields.end();
  const names = { issuerName, subjectName, notBefore, notAfter, key, algorithm: algorithmOf(algorithm) };
  return { ...names, ...extensionsOf(list === undefined ? new der.Fields(new Uint8Array()) : inside(list)) };
}

function inside(list: der.Element): der.Fields {
  const fields = new der.Fields(list.content);
  const extensions = der.fieldsOf(fields.take());
  fields.end();
  return extensions;
}

function algorithmOf(element: der.Element): string {
  const fields = der.fieldsOf(element);
  const id = der.oidOf(fields.take(der.OID));
  const parameters = fields.maybe(der.NULL);
  if ((parameters?.content.length ?? 0) > 0)
    throw der.notDer('its algorithm has parameters that it should not have');
  // Only RSA-PSS has others, and it is refused by its name.
  if (SIGNATURES.has(id)) fields.end();
  return id;
}

/** The algorithms of certificates' signatures (RFC 5758, 4055, 8410): the digest, and the type of the key. */
const SIGNATURES = new Map<string, { digest: string | null; type: string }>([
  ['1.2.840.10045.4.3.2', { digest: 'sha256', type: 'ec' }],
  ['1.2.840.10045.4.3.3', { digest: 'sha384', type: 'ec' }],
  ['1.2.840.10045.4.3.4', { digest: 'sha512', type: 'ec' }],
  ['1.2.840.113549.1.1.11', { digest: 'sha256', type: 'rsa' }],
  ['1.2.840.113549.1.1.12', { digest: 'sha384', type: 'rsa' }],
  ['1.2.840.113549.1.1.13', { digest: 'sha512', type: 'rsa' }],
  ['1.3.101.112', { digest: null, type: 'ed25519' }],
]);

/** Whether an authority's key made the signature of a certificate. @throws Refused (unsupported) for SHA-1 and others */
export function isIssuedBy(certificate: Certificate, authority: Certificate): boolean {
  const how = SIGNATURES.get(certificate.algorithm);
  if (how === undefined)
    throw new Refused('unsupported', `a certificate's signature has the algorithm ${certificate.algorithm}`);
  const { object } = authority.key;
  return (
    object.asymmetricKeyType === how.type &&
    holds(how.digest, certificate.signed, object, certificate.signature)
  );
}

/** The certificates of PEM blocks. @throws Refused (malformed, unsupported) */
export function certificatesOf(blocks: readonly PemBlock[]): Certificate[] {
  return blocks.map(({ label, der: bytes }) => {
    if (label !== 'CERTIFICATE')
      throw new Refused('malformed', `it has a PEM block ${label}, not a CERTIFICATE`);
    return certificateOf(bytes);
  });
}

export function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
