/** Certificates of an operator's own authority (pki): chains, purposes, dates, names, and certificates that are wrong. */
import { expect, test } from 'bun:test';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import { ANNOTATIONS, attached, base64, payloadFor, signBy } from '../../../support/sigstore/signer.ts';
import {
  type CertificateFields,
  CODE_SIGNING,
  certificate,
  extension,
  extensions,
  issue,
  newPair,
  oid,
  type Pair,
  pem,
  SERVER,
  sequence,
  tlv,
} from '../../../support/sigstore/x509.ts';
import {
  Authority,
  DIGEST,
  EMAIL,
  IMAGE,
  LEAF,
  material,
  NOW,
  pkiRequirement,
  REPOSITORY,
  verdict,
} from './support.ts';

const payload = payloadFor(DIGEST, REPOSITORY);
const authority = new Authority();
const requirement = pkiRequirement(authority);
const leaf = authority.leafDer();

function signedWith(
  certificatePem: string | undefined,
  chain: string | undefined,
  pair: Pair = authority.signer,
) {
  return attached(payload, {
    [ANNOTATIONS.signature]: base64(signBy(pair.privateKey, payload)),
    ...(certificatePem !== undefined && { [ANNOTATIONS.certificate]: certificatePem }),
    ...(chain !== undefined && { [ANNOTATIONS.chain]: chain }),
  });
}
const withLeaf = (der: Buffer) => signedWith(pem(der), authority.chainPem());
const withBetween = (der: Buffer) => signedWith(pem(leaf), authority.chainPem(der));

test('a chain that holds, until its first certificate ends', () => {
  const found = verifySigstore(requirement, withLeaf(leaf), IMAGE, NOW);
  expect(found).toEqual({ ok: true, by: EMAIL, until: Date.parse('2027-01-01T00:00:00Z') });
  const short = authority.betweenDer({ until: '2026-09-01T00:00:00' });
  expect(verifySigstore(requirement, withBetween(short), IMAGE, NOW)).toMatchObject({
    until: Date.parse('2026-09-01T00:00:00Z'),
  });
});

const purposes = (...ids: string[]) =>
  [LEAF[0], extensions.purposes(...ids), ...LEAF.slice(2)].filter((one) => one !== undefined);
const ANY = '2.5.29.37.0';

test.each<[string, Partial<CertificateFields>, string]>([
  ['has expired', { until: '2026-05-01T00:00:00' }, 'certificate-expired'],
  ['is not valid yet', { from: '2026-07-01T00:00:00' }, 'certificate-expired'],
  ['is for servers', { extensions: purposes(SERVER) }, 'untrusted-chain'],
  ['is for any purpose', { extensions: purposes(ANY) }, 'ok'],
  ['names no purpose', { extensions: [...LEAF.slice(0, 1), ...LEAF.slice(2)] }, 'ok'],
  ['has an empty list of purposes', { extensions: purposes() }, 'untrusted-chain'],
  ['is for servers and code', { extensions: purposes(SERVER, CODE_SIGNING) }, 'ok'],
  ['is not for signatures', { extensions: [extensions.keyUse(0x20), ...LEAF.slice(1)] }, 'untrusted-chain'],
  ['names no use of its key', { extensions: LEAF.slice(1) }, 'ok'],
  ['is an authority', { extensions: [...LEAF, extensions.authority()] }, 'untrusted-chain'],
  ['says that it is no authority', { extensions: [...LEAF, extensions.noAuthority()] }, 'ok'],
  [
    'has an unknown critical extension',
    { extensions: [...LEAF, extension('1.2.3.4', sequence(), true)] },
    'unsupported',
  ],
  ['has an unknown extension', { extensions: [...LEAF, extension('1.2.3.4', sequence())] }, 'ok'],
  ['has an extension twice', { extensions: [...LEAF, extensions.keyUse(0x80)] }, 'malformed'],
  [
    'names another address',
    { extensions: [...LEAF.slice(0, 2), extensions.names({ emails: ['x@example.org'] })] },
    'other-subject',
  ],
  [
    'names the address in capital letters',
    { extensions: [...LEAF.slice(0, 2), extensions.names({ emails: [EMAIL.toUpperCase()] })] },
    'other-subject',
  ],
  [
    'names the address as a host',
    { extensions: [...LEAF.slice(0, 2), extensions.names({ hosts: [EMAIL] })] },
    'other-subject',
  ],
  [
    'names an address with a NUL',
    { extensions: [...LEAF.slice(0, 2), extensions.names({ emails: [`${EMAIL}\0.evil`] })] },
    'malformed',
  ],
  ['names nobody', { extensions: LEAF.slice(0, 2) }, 'other-subject'],
  ['has no extensions', { extensions: [] }, 'other-subject'],
  ['is of version 1', { version: 0 }, 'unsupported'],
  ['names another issuer', { issuer: 'nobody' }, 'untrusted-chain'],
  ['is signed by another key', { by: newPair() }, 'untrusted-chain'],
  ['is signed by the root in the name of another', { by: authority.root }, 'untrusted-chain'],
])("the signer's certificate %s", (_name, changes, code) => {
  expect(verdict(requirement, withLeaf(authority.leafDer(changes)))).toBe(code);
});

const AUTHORITY = [extensions.authority(0), extensions.keyUse(0x06)];

test.each<[string, Partial<CertificateFields>, string]>([
  ['has expired', { until: '2026-05-01T00:00:00' }, 'certificate-expired'],
  ['is no authority', { extensions: [extensions.noAuthority(), extensions.keyUse(0x06)] }, 'untrusted-chain'],
  ['does not say that it is one', { extensions: [extensions.keyUse(0x06)] }, 'untrusted-chain'],
  [
    'may not issue certificates',
    { extensions: [extensions.authority(), extensions.keyUse(0x80)] },
    'untrusted-chain',
  ],
  ['names no use of its key', { extensions: [extensions.authority()] }, 'ok'],
  ['is for servers', { extensions: [...AUTHORITY, extensions.purposes(SERVER)] }, 'untrusted-chain'],
  ['is for any purpose', { extensions: [...AUTHORITY, extensions.purposes(ANY)] }, 'ok'],
  [
    'has constraints of names',
    { extensions: [...AUTHORITY, extension('2.5.29.30', sequence(), true)] },
    'unsupported',
  ],
  ['has them unmarked', { extensions: [...AUTHORITY, extension('2.5.29.30', sequence())] }, 'unsupported'],
  ['is signed by itself', { by: authority.between }, 'untrusted-chain'],
])('the intermediate certificate %s', (_name, changes, code) => {
  expect(verdict(requirement, withBetween(authority.betweenDer(changes)))).toBe(code);
});

test('the root has expired, although the signer has not', () => {
  const roots = material('/keys/roots.pem', pem(authority.rootDer({ until: '2026-05-01T00:00:00' })));
  expect(verdict(pkiRequirement(authority, { roots }), withLeaf(leaf))).toBe('certificate-expired');
});

test('the intermediate certificates', () => {
  const between = pem(authority.betweenDer());
  const root = pem(authority.rootDer());
  expect(verdict(requirement, signedWith(pem(leaf), undefined))).toBe('untrusted-chain');
  // The last certificate is taken for a root and dropped, also where it is alone, or in the wrong order.
  expect(verdict(requirement, signedWith(pem(leaf), between))).toBe('untrusted-chain');
  expect(verdict(requirement, signedWith(pem(leaf), root + between))).toBe('untrusted-chain');
  expect(verdict(requirement, signedWith(pem(leaf), pem(leaf) + between + root))).toBe('ok');
  const known = pkiRequirement(authority, { intermediates: material('/keys/between.pem', between) });
  expect(verdict(known, signedWith(pem(leaf), undefined))).toBe('ok');
  const foreign = new Authority();
  expect(verdict(requirement, signedWith(pem(foreign.leafDer()), foreign.chainPem(), foreign.signer))).toBe(
    'untrusted-chain',
  );
  // A certificate of the stranger's chain is no root, whatever it says.
  expect(
    verdict(
      requirement,
      signedWith(pem(foreign.leafDer()), pem(foreign.rootDer()) + foreign.chainPem(), foreign.signer),
    ),
  ).toBe('untrusted-chain');
});

test('a chain that is longer than its root allows', () => {
  const roots = (maxBelow: number) =>
    pkiRequirement(authority, {
      roots: material(
        '/keys/roots.pem',
        pem(authority.rootDer({ extensions: [extensions.authority(maxBelow)] })),
      ),
    });
  expect(verdict(roots(1), withLeaf(leaf))).toBe('ok');
  expect(verdict(roots(0), withLeaf(leaf))).toBe('untrusted-chain');
});

test('certificates that issue each other without end', () => {
  const pair = newPair();
  const loop = (n: number) =>
    certificate({
      subject: 'between',
      issuer: 'between',
      pair: authority.between,
      by: authority.between,
      from: '2020-01-01T00:00:00',
      until: `203${n}-01-01T00:00:00`,
      extensions: [extensions.authority()],
    });
  const chain = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => pem(loop(n))).join('');
  expect(verdict(requirement, signedWith(pem(leaf), chain))).toBe('untrusted-chain');
  expect(verdict(requirement, signedWith(pem(leaf), chain + pem(loop(9)) + pem(loop(9))))).toBe('malformed');
  expect(verdict(requirement, signedWith(pem(leaf), chain, pair))).toBe('untrusted-chain');
});

test('a signer whose own certificate is trusted', () => {
  const alone = authority.leafDer({ issuer: 'signer', by: authority.signer });
  const trusted = pkiRequirement(authority, { roots: material('/keys/roots.pem', pem(alone)) });
  expect(verdict(trusted, signedWith(pem(alone), undefined))).toBe('ok');
  expect(verdict(trusted, signedWith(pem(authority.leafDer()), undefined))).toBe('untrusted-chain');
});

test('the certificate of somebody else beside the signature', () => {
  expect(verdict(requirement, signedWith(pem(leaf), authority.chainPem(), newPair()))).toBe('bad-signature');
  expect(verdict(requirement, signedWith(undefined, authority.chainPem()))).toBe('untrusted-chain');
});

test.each([
  ['build.example.org', 'build.example.org', 'ok'],
  ['build.example.org', 'BUILD.example.org', 'ok'],
  ['*.example.org', 'build.example.org', 'ok'],
  ['*.example.org', 'a.build.example.org', 'other-subject'],
  ['*.example.org', 'example.org', 'other-subject'],
  ['*.org', 'example.org', 'other-subject'],
  ['b*.example.org', 'build.example.org', 'other-subject'],
  ['*', 'localhost', 'other-subject'],
  ['other.example.org', 'build.example.org', 'other-subject'],
])('a certificate for the host %s where %s is demanded', (host, subjectHostname, code) => {
  const wanted = pkiRequirement(authority, { subjectEmail: undefined, subjectHostname });
  const der = authority.leafDer({ extensions: [...LEAF.slice(0, 2), extensions.names({ hosts: [host] })] });
  expect(verdict(wanted, withLeaf(der))).toBe(code);
});

test('an address and a host are demanded together', () => {
  const both = pkiRequirement(authority, { subjectHostname: 'build.example.org' });
  expect(verdict(both, withLeaf(leaf))).toBe('ok');
  expect(verdict(pkiRequirement(authority, { subjectHostname: 'x.example.org' }), withLeaf(leaf))).toBe(
    'other-subject',
  );
});

const text = pem(leaf);

test.each([
  ['empty', '', 'malformed'],
  ['two certificates', text + text, 'malformed'],
  ['text in front', `x\n${text}`, 'malformed'],
  ['text behind', `${text}x`, 'malformed'],
  ['another label', pem(leaf, 'TRUSTED CERTIFICATE'), 'malformed'],
  ['cut', text.slice(0, -10), 'malformed'],
  ['DER instead of PEM', leaf.toString('latin1'), 'malformed'],
  ['DER that is cut', pem(leaf.subarray(0, -1)), 'malformed'],
  ['bytes behind the DER', pem(Buffer.concat([leaf, Buffer.of(0)])), 'malformed'],
  [
    'a length in a longer form',
    pem(Buffer.concat([Buffer.of(0x30, 0x83, 0), leaf.subarray(2)])),
    'malformed',
  ],
  [
    'a length without end',
    pem(Buffer.concat([Buffer.of(0x30, 0x80), leaf.subarray(4), Buffer.of(0, 0)])),
    'malformed',
  ],
  ['base64 with rubbish', text.replace(/^(.*\n.{5})./, '$1!'), 'malformed'],
  ['huge', text.replace('\n', `\n${'A'.repeat(2 ** 20)}\n`), 'malformed'],
])('the text of a certificate: %s', (_name, value, code) => {
  expect(verdict(requirement, signedWith(value, authority.chainPem()))).toBe(code);
});

test('algorithms of certificates that do not count', () => {
  const fields = leaf.subarray(4);
  const length = 4 + fields.readUInt16BE(2);
  const signed = fields.subarray(0, length);
  const ecdsa = sequence(oid('1.2.840.10045.4.3.2'));
  const to = (id: string) => {
    const other = sequence(oid(id));
    if (other.length !== ecdsa.length) throw new Error('another length');
    const changed = Buffer.from(signed);
    other.copy(changed, changed.indexOf(ecdsa));
    return issue(changed, authority.between, other);
  };
  expect(verdict(requirement, withLeaf(issue(Buffer.from(signed), authority.between)))).toBe('ok');
  // ecdsa-with-SHA512 without its digest, and one that does not exist.
  expect(verdict(requirement, withLeaf(to('1.2.840.10045.4.3.4')))).toBe('untrusted-chain');
  expect(verdict(requirement, withLeaf(to('1.2.840.10045.4.3.9')))).toBe('unsupported');
  // Two algorithms: one inside, one outside.
  const outside = issue(Buffer.from(signed), authority.between, sequence(oid('1.2.840.10045.4.3.3')));
  expect(verdict(requirement, withLeaf(outside))).toBe('malformed');
  const parameters = issue(
    Buffer.from(signed),
    authority.between,
    sequence(oid('1.2.840.10045.4.3.2'), tlv(5)),
  );
  expect(verdict(requirement, withLeaf(parameters))).toBe('malformed');
});
