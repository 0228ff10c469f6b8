/** Writes certificates field by field, right and wrong ones, as no tool would. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export type Der = Buffer;

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Der {
  const content = Buffer.concat(parts);
  const size = content.length;
  if (size < 0x80) return Buffer.concat([Buffer.of(tag, size), content]);
  const bytes: number[] = [];
  for (let rest = size; rest > 0; rest >>= 8) bytes.unshift(rest & 0xff);
  return Buffer.concat([Buffer.of(tag, 0x80 | bytes.length, ...bytes), content]);
}

export const sequence = (...parts: readonly Uint8Array[]) => tlv(0x30, ...parts);
const integer = (...bytes: readonly number[]) => tlv(0x02, Buffer.from(bytes));
const octets = (content: Uint8Array) => tlv(0x04, content);
const text = (tag: number, value: string) => tlv(tag, Buffer.from(value));
const TRUE = tlv(0x01, Buffer.of(0xff));

export function oid(dotted: string): Der {
  const [a = 0, b = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [a * 40 + b, ...rest].flatMap((arc) => {
    const out = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      out.unshift((left & 0x7f) | 0x80);
    return out;
  });
  return tlv(0x06, Buffer.from(bytes));
}

export const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
export const SERVER = '1.3.6.1.5.5.7.3.1';

export function extension(id: string, value: Uint8Array, critical = false): Der {
  return sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));
}

export const extensions = {
  authority: (maxBelow?: number) =>
    extension('2.5.29.19', sequence(TRUE, ...(maxBelow === undefined ? [] : [integer(maxBelow)])), true),
  noAuthority: () => extension('2.5.29.19', sequence(), true),
  /** 0x80: signatures, 0x04: certificates. */
  keyUse: (bits: number) => extension('2.5.29.15', tlv(0x03, Buffer.of(0, bits)), true),
  purposes: (...ids: readonly string[]) => extension('2.5.29.37', sequence(...ids.map(oid))),
  names: (names: { emails?: readonly string[]; hosts?: readonly string[]; uris?: readonly string[] }) =>
    extension(
      '2.5.29.17',
      sequence(
        ...(names.emails ?? []).map((name) => text(0x81, name)),
        ...(names.hosts ?? []).map((name) => text(0x82, name)),
        ...(names.uris ?? []).map((name) => text(0x86, name)),
      ),
    ),
  issuer: (issuer: string) => extension('1.3.6.1.4.1.57264.1.8', text(0x0c, issuer)),
  issuerRaw: (issuer: string) => extension('1.3.6.1.4.1.57264.1.1', Buffer.from(issuer)),
};

export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const newPair = (curve = 'P-256'): Pair => generateKeyPairSync('ec', { namedCurve: curve });
export const spki = ({ publicKey }: Pair): Buffer => publicKey.export({ format: 'der', type: 'spki' });

export interface CertificateFields {
  readonly subject: string;
  readonly issuer: string;
  readonly pair: Pair;
  /** Signs the certificate. */
  readonly by: Pair;
  readonly from: string;
  readonly until: string;
  readonly extensions: readonly Uint8Array[];
  readonly version?: number;
}

const name = (common: string) => sequence(tlv(0x31, sequence(oid('2.5.4.3'), text(0x0c, common))));

/** `20261130120000Z` */
const date = (iso: string) => text(0x18, `${iso.replace(/[-:T]/g, '').slice(0, 14)}Z`);

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

/** The DER of a certificate. Dates are ISO 8601 in UTC with seconds. */
export function certificate(fields: CertificateFields): Buffer {
  const { subject, issuer, pair, by, from, until, extensions: list, version = 2 } = fields;
  const signed = sequence(
    tlv(0xa0, integer(version)),
    integer(0x01, ...Buffer.from(subject).subarray(0, 8)),
    ECDSA_SHA256,
    name(issuer),
    sequence(date(from), date(until)),
    name(subject),
    spki(pair),
    ...(list.length > 0 ? [tlv(0xa3, sequence(...list))] : []),
  );
  return issue(signed, by);
}

/** Signs the fields of a certificate. */
export function issue(signed: Buffer, by: Pair, algorithm: Buffer = ECDSA_SHA256): Buffer {
  return sequence(signed, algorithm, tlv(0x03, Buffer.of(0), sign('sha256', signed, by.privateKey)));
}

export function pem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const base64 = Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}
