/** Keys of a policy, and the algorithms of signatures by key. */
import { expect, test } from 'bun:test';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import type { SigstoreSigned } from '../../../../lib/trust/policy/requirement.ts';
import { whyUnusable } from '../../../../lib/trust/sigstore/materials.ts';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import {
  ANNOTATIONS,
  attached,
  base64,
  bundle,
  bundleOf,
  envelope,
  envelopeBytes,
  keyPem,
  payloadFor,
  signAttached,
  statementFor,
} from '../../../support/sigstore/signer.ts';
import { newPair, type Pair, pem, spki } from '../../../support/sigstore/x509.ts';
import {
  Authority,
  DIGEST,
  IMAGE,
  keyRequirement,
  material,
  NOW,
  pkiRequirement,
  REPOSITORY,
  verdict,
} from './support.ts';

const payload = payloadFor(DIGEST, REPOSITORY);
const statement = statementFor(DIGEST);
const MATERIAL = { publicKey: { hint: 'any' } };

const rsa = (bits: number): Pair => generateKeyPairSync('rsa', { modulusLength: bits });
const ed25519: Pair = generateKeyPairSync('ed25519');
const rsa2048 = rsa(2048);
const [p256, p384, p521] = ['P-256', 'P-384', 'P-521'].map(newPair);

test.each([
  ['P-256', p256, 'sha256', 'ok', 'ok'],
  ['P-384', p384, 'sha256', 'ok', 'ok'],
  ['P-521', p521, 'sha256', 'ok', 'ok'],
  ['RSA', rsa2048, 'sha256', 'ok', 'ok'],
  ['Ed25519', ed25519, 'sha256', 'ok', 'ok'],
  // The old scheme has SHA-256 alone, a bundle the digest of the curve too, and nobody another one.
  ['P-384', p384, 'sha384', 'unknown-key', 'ok'],
  ['P-521', p521, 'sha512', 'unknown-key', 'ok'],
  ['P-256', p256, 'sha384', 'unknown-key', 'unknown-key'],
  ['P-384', p384, 'sha512', 'unknown-key', 'unknown-key'],
  ['RSA', rsa2048, 'sha512', 'unknown-key', 'unknown-key'],
] as const)('%s, row %#', (_name, pair, digest, simple, inBundle) => {
  if (pair === undefined) throw new Error('no pair');
  const { privateKey } = pair;
  const requirement = keyRequirement([pair]);
  const of = (data: Uint8Array) =>
    sign(privateKey.asymmetricKeyType === 'ed25519' ? null : digest, data, privateKey);
  expect(verdict(requirement, attached(payload, { [ANNOTATIONS.signature]: base64(of(payload)) }))).toBe(
    simple,
  );
  const signature = of(envelopeBytes(statement));
  expect(verdict(requirement, bundle(bundleOf({ payload: statement, signature }, MATERIAL)))).toBe(inBundle);
});

test('RSA-PSS counts in a bundle, and not in the old scheme', () => {
  const key = { key: rsa2048.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signature = sign('sha256', envelopeBytes(statement), key);
  expect(
    verdict(keyRequirement([rsa2048]), bundle(bundleOf({ payload: statement, signature }, MATERIAL))),
  ).toBe('ok');
  const simple = attached(payload, { [ANNOTATIONS.signature]: base64(sign('sha256', payload, key)) });
  expect(verdict(keyRequirement([rsa2048]), simple)).toBe('unknown-key');
});

test('an Ed25519 signature over the digest instead of the bytes', () => {
  const digest = new Bun.CryptoHasher('sha256').update(payload).digest();
  const simple = attached(payload, {
    [ANNOTATIONS.signature]: base64(sign(null, digest, ed25519.privateKey)),
  });
  expect(verdict(keyRequirement([ed25519]), simple)).toBe('unknown-key');
});

test('one of several keys is enough, and the verdict names its file', () => {
  const [one, two] = [newPair(), newPair()];
  const requirement = keyRequirement([one, two]);
  const found = verifySigstore(requirement, signAttached(payload, two.privateKey), IMAGE, NOW);
  expect(found).toEqual({ ok: true, by: '/keys/1.pub', until: undefined });
  const inBundle = bundle(bundleOf(envelope(statement, two.privateKey), MATERIAL));
  expect(verifySigstore(requirement, inBundle, IMAGE, NOW)).toEqual(found);
  expect(verdict(requirement, signAttached(payload, newPair().privateKey))).toBe('unknown-key');
});

const withKey = (text: string | Uint8Array): SigstoreSigned => ({
  ...keyRequirement([]),
  trusted: { kind: 'keys', keys: [material('/keys/k.pub', text)] },
});
const good = keyPem(newPair());

test.each([
  ['a key', good, undefined],
  ['a key with text around it', `made by us\n${good}\nthe end\n`, undefined],
  ['a key with the ends of lines of Windows', good.replaceAll('\n', '\r\n'), undefined],
  ['an empty file', '', '/keys/k.pub: it has no PEM block'],
  ['two keys', good + good, '/keys/k.pub: it has more than one PEM block'],
  ['a cut key', good.slice(0, -20), '/keys/k.pub: it has no PEM block'],
  ['a key, and another one that is cut', good + good.slice(0, -20), '/keys/k.pub: it has a broken PEM block'],
  ['a certificate', pem(new Authority().rootDer()), 'a PEM block CERTIFICATE, not a PUBLIC KEY'],
  ['no key in PEM', pem(Buffer.from('no key'), 'PUBLIC KEY'), '/keys/k.pub: its key cannot be read'],
  [
    'a key with bytes behind it',
    pem(Buffer.concat([spki(newPair()), Buffer.of(0)]), 'PUBLIC KEY'),
    '/keys/k.pub: its key',
  ],
  ['the curve P-224', pem(spki(newPair('secp224r1')), 'PUBLIC KEY'), 'another curve than P-256'],
  ['a small RSA key', keyPem(rsa(1024)), 'its RSA key has 1024 bits'],
  ['base64 with rubbish', good.replace('M', '!'), '/keys/k.pub: it has no PEM block'],
])('key material: %s', (_name, text, reason) => {
  const found = whyUnusable(withKey(text));
  if (reason === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(reason);
});

test('the key of a log must be an ECDSA key', () => {
  const rekor = [material('/keys/rekor.pub', keyPem(ed25519))];
  expect(whyUnusable({ ...keyRequirement([newPair()]), rekor })).toContain(
    '/keys/rekor.pub: the key of a transparency log',
  );
});

test('certificates of a policy that cannot be used', () => {
  const authority = new Authority();
  const roots = (text: string) =>
    whyUnusable(pkiRequirement(authority, { roots: material('/keys/roots.pem', text) }));
  expect(roots(pem(authority.rootDer()) + pem(authority.betweenDer()))).toBeUndefined();
  expect(roots(good)).toContain('/keys/roots.pem: it has a PEM block PUBLIC KEY, not a CERTIFICATE');
  expect(roots(pem(authority.rootDer().subarray(0, 90)))).toContain(
    '/keys/roots.pem: it ends inside a field',
  );
  expect(whyUnusable(pkiRequirement(authority, { subjectHostname: '10.0.0.1' }))).toContain(
    'must be a host name',
  );
});

test('a requirement with material that cannot be used refuses, whatever the signature', () => {
  expect(verdict(withKey('no key'), signAttached(payload, newPair().privateKey))).toBe('malformed');
});
