/** Certificates of Fulcio, whose minutes are over: the log says when the signature was made, and who logged in to make it. */
import { expect, test } from 'bun:test';
import type { CertificateIdentity } from '../../../../lib/trust/policy/requirement.ts';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import {
  ANNOTATIONS,
  attached,
  base64,
  bundle,
  bundleOf,
  dsseBody,
  envelope,
  hashedrekord,
  payloadFor,
  promise,
  proof,
  receipt,
  signBy,
  statementFor,
  tlogEntry,
} from '../../../support/sigstore/signer.ts';
import { extension, extensions, newPair, pem, tlv } from '../../../support/sigstore/x509.ts';
import {
  Authority,
  DIGEST,
  EMAIL,
  fulcioRequirement,
  IMAGE,
  ISSUER,
  LEAF,
  NOW,
  REPOSITORY,
  URI,
  verdict,
} from './support.ts';

const payload = payloadFor(DIGEST, REPOSITORY);
const authority = new Authority();
const log = newPair();
const requirement = fulcioRequirement(authority, log);
const seconds = (iso: string) => Date.parse(iso) / 1000;
const SIGNED = seconds('2026-03-01T12:05:00Z');
const MINUTES = { from: '2026-03-01T12:00:00', until: '2026-03-01T12:10:00' };
const leaf = authority.leafDer(MINUTES);

function signed(der: Buffer, { time = SIGNED, by = log, logged = der, signer = authority.signer } = {}) {
  const signature = signBy(signer.privateKey, payload);
  const entry = { body: hashedrekord(payload, signature, pem(logged)), time, index: 1 };
  return attached(payload, {
    [ANNOTATIONS.signature]: base64(signature),
    [ANNOTATIONS.certificate]: pem(der),
    [ANNOTATIONS.chain]: authority.chainPem(),
    [ANNOTATIONS.log]: receipt(by, entry),
  });
}

test('a certificate that was valid when the log took the signature', () => {
  expect(verifySigstore(requirement, signed(leaf), IMAGE, NOW)).toEqual({
    ok: true,
    by: `${EMAIL} (${ISSUER})`,
    until: undefined,
  });
  // Both ends belong to the time.
  expect(verdict(requirement, signed(leaf, { time: seconds('2026-03-01T12:00:00Z') }))).toBe('ok');
  expect(verdict(requirement, signed(leaf, { time: seconds('2026-03-01T12:10:00Z') }))).toBe('ok');
  expect(verdict(requirement, signed(leaf, { time: seconds('2026-03-01T12:10:01Z') }))).toBe(
    'certificate-expired',
  );
  expect(verdict(requirement, signed(leaf, { time: seconds('2026-03-01T11:59:59Z') }))).toBe(
    'certificate-expired',
  );
  expect(verdict(requirement, signed(leaf, { time: 2 ** 53 - 1 }))).toBe('certificate-expired');
});

test('a log entry that does not belong to the signature', () => {
  expect(verdict(requirement, signed(leaf, { by: newPair() }))).toBe('bad-log-entry');
  expect(verdict(requirement, signed(leaf, { logged: authority.leafDer(MINUTES) }))).toBe('bad-log-entry');
  expect(verdict(requirement, signed(leaf, { signer: newPair() }))).toBe('bad-signature');
  const { annotations } = signed(leaf);
  const lacking = (name: string) =>
    attached(payload, Object.fromEntries([...annotations].filter(([key]) => key !== name)));
  expect(verdict(requirement, lacking(ANNOTATIONS.log))).toBe('no-log-entry');
  expect(verdict(requirement, lacking(ANNOTATIONS.certificate))).toBe('untrusted-chain');
  expect(verdict(requirement, lacking(ANNOTATIONS.chain))).toBe('untrusted-chain');
});

const withExtensions = (...more: Buffer[]) =>
  signed(authority.leafDer({ ...MINUTES, extensions: [...LEAF.slice(0, 3), ...more] }));

test.each([
  ['in its newer form', [extensions.issuer(ISSUER)], 'ok'],
  ['in its older form', [extensions.issuerRaw(ISSUER)], 'ok'],
  ['in both', [extensions.issuerRaw(ISSUER), extensions.issuer(ISSUER)], 'ok'],
  [
    'in both, which differ',
    [extensions.issuerRaw('https://other.example'), extensions.issuer(ISSUER)],
    'malformed',
  ],
  ['another one', [extensions.issuer('https://other.example')], 'other-subject'],
  ['one that only begins like it', [extensions.issuer(`${ISSUER}.evil.example`)], 'other-subject'],
  ['none', [], 'other-subject'],
  [
    'with bytes behind it',
    [extension('1.3.6.1.4.1.57264.1.8', Buffer.concat([tlv(0x0c, Buffer.from(ISSUER)), Buffer.of(0)]))],
    'malformed',
  ],
  ['of another type', [extension('1.3.6.1.4.1.57264.1.8', tlv(0x04, Buffer.from(ISSUER)))], 'malformed'],
  ['with a line break', [extensions.issuerRaw(`${ISSUER}\n`)], 'malformed'],
  ['twice', [extensions.issuer(ISSUER), extensions.issuer(ISSUER)], 'malformed'],
])('the login provider %s', (_name, more, code) => {
  expect(verdict(requirement, withExtensions(...more))).toBe(code);
});

const CI: CertificateIdentity = {
  issuer: { equals: ISSUER },
  uri: { pattern: 'https://ci.example/ns/*/build.yml@refs/tags/*' },
};
const identified = (...identities: CertificateIdentity[]) =>
  fulcioRequirement(authority, log, { subjectEmail: 'nobody@example.org', identities });

test.each<[string, readonly CertificateIdentity[], string]>([
  ['a pattern', [CI], 'ok'],
  ['the URI itself', [{ ...CI, uri: { equals: URI } }], 'ok'],
  ['one of several', [{ ...CI, uri: { equals: 'https://x' } }, CI], 'ok'],
  ['none', [], 'other-subject'],
  ['another issuer', [{ ...CI, issuer: { equals: 'https://other.example' } }], 'other-subject'],
  ['a pattern of issuers', [{ ...CI, issuer: { pattern: 'https://*.example' } }], 'ok'],
  [
    'another branch',
    [{ ...CI, uri: { pattern: 'https://ci.example/ns/*/build.yml@refs/heads/*' } }],
    'other-subject',
  ],
  ['a star for more than one step', [{ ...CI, uri: { pattern: 'https://ci.example/*' } }], 'other-subject'],
  ['the address as a URI', [{ ...CI, uri: { equals: EMAIL } }], 'other-subject'],
])('identities of CI systems: %s', (_name, identities, code) => {
  expect(verdict(identified(...identities), signed(leaf))).toBe(code);
});

test('the identity of a CI system is in the record', () => {
  expect(verifySigstore(identified(CI), signed(leaf), IMAGE, NOW)).toMatchObject({
    by: `${URI} (${ISSUER})`,
  });
});

test('a bundle needs a time that the log vouches for', () => {
  const statement = statementFor(DIGEST);
  const made = envelope(statement, authority.signer.privateKey);
  const entry = { body: dsseBody(statement, made.signature, pem(leaf)), time: SIGNED, index: 1 };
  const promised = { inclusionPromise: { signedEntryTimestamp: base64(promise(log, entry)) } };
  const proven = { inclusionProof: proof(log, entry.body, 2, 3) };
  const chain = {
    x509CertificateChain: {
      certificates: [leaf, authority.betweenDer()].map((der) => ({ rawBytes: base64(der) })),
    },
  };
  const judged = (evidence: object) =>
    verdict(
      requirement,
      bundle(bundleOf(made, { ...chain, tlogEntries: [tlogEntry(log, entry, 'dsse', evidence)] })),
    );
  expect(judged({ ...promised, ...proven })).toBe('ok');
  expect(judged(promised)).toBe('ok');
  // The proof says that it was logged, and not when.
  expect(judged(proven)).toBe('no-log-entry');
  expect(verdict(requirement, bundle(bundleOf(made, chain)))).toBe('no-log-entry');
});
