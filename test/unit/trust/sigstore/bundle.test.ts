/** Bundles v0.3: envelopes with a statement, signatures over a manifest, entries of logs, and their tampered twins. */
import { expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import {
  base64,
  bundle,
  bundleOf,
  dsseBody,
  type Envelope,
  envelope,
  hashedrekord,
  keyPem,
  promise,
  proof,
  signBy,
  statementFor,
  tlogEntry,
} from '../../../support/sigstore/signer.ts';
import { newPair, pem } from '../../../support/sigstore/x509.ts';
import {
  Authority,
  DIGEST,
  IMAGE,
  keyRequirement,
  logMaterial,
  MANIFEST,
  NOW,
  OTHER_DIGEST,
  pkiRequirement,
  verdict,
} from './support.ts';

const pair = newPair();
const requirement = keyRequirement([pair]);
const payload = statementFor(DIGEST);
const signed = envelope(payload, pair.privateKey);
const KEY = { publicKey: { hint: 'any' } };
const text = payload.toString();
const right = JSON.stringify(bundleOf(signed, KEY));

const said = (statement: string | Buffer) =>
  verdict(requirement, bundle(bundleOf(envelope(Buffer.from(statement), pair.privateKey), KEY)));

test.each([
  ['as cosign writes it', text, 'ok'],
  ['without a predicate', text.replace(',"predicate":{}', ''), 'ok'],
  [
    'with a name and annotations',
    text.replace('"digest"', '"name":"x","annotations":{"a":1},"digest"'),
    'ok',
  ],
  ['of several subjects', text.replace('"subject":[', '"subject":[{"digest":{"sha1":"x"}},'), 'ok'],
  ['for another digest', statementFor(OTHER_DIGEST), 'other-digest'],
  ['for no sha256', text.replace('"sha256"', '"sha512"'), 'other-digest'],
  ['for no subject', text.replace(/"subject":\[[^\]]*\]/, '"subject":[]'), 'malformed'],
  ['with a digest twice', text.replace('"sha256"', `"sha256":"${'0'.repeat(64)}","sha256"`), 'malformed'],
  ['with an extra member', text.replace('"_type"', '"more":1,"_type"'), 'malformed'],
  ['with an extra member of its subject', text.replace('"digest"', '"more":1,"digest"'), 'malformed'],
  ['of a predicate that is a list', text.replace('{}', '[]'), 'malformed'],
  ['of another version', text.replace('Statement/v1', 'Statement/v0.1'), 'unsupported'],
  [
    'that is a report of holes',
    statementFor(DIGEST, 'https://cosign.sigstore.dev/attestation/vuln/v1'),
    'unsupported',
  ],
  ['that is provenance', statementFor(DIGEST, 'https://slsa.dev/provenance/v1'), 'unsupported'],
  ['cut', text.slice(0, -1), 'malformed'],
  ['empty', '', 'malformed'],
  ['null', 'null', 'malformed'],
])('a statement that is signed: %s', (_name, statement, code) => {
  expect(said(statement)).toBe(code);
});

type Document = Record<string, unknown>;
/** The member at a path, for a test to change. */
function at(document: Document, ...path: (string | number)[]): Document {
  let found: unknown = document;
  for (const step of path) found = (found as Record<string | number, unknown>)[step];
  return found as Document;
}
const changed = (change: (document: Document) => void, from = right) => {
  const document = JSON.parse(from) as Document;
  change(document);
  return JSON.stringify(document);
};
const set = (key: string, value: unknown, ...path: (string | number)[]) =>
  changed((document) => {
    at(document, ...path)[key] = value;
  });
const without = (key: string, ...path: (string | number)[]) =>
  changed((document) => {
    delete at(document, ...path)[key];
  });
const ENVELOPE = 'dsseEnvelope';
const MATERIAL = 'verificationMaterial';

test.each([
  ['right', right, 'ok'],
  ['with an empty hint', set('publicKey', {}, MATERIAL), 'ok'],
  ['with a key id', set('keyid', 'x', ENVELOPE, 'signatures', 0), 'ok'],
  [
    'with the older spelling of its type',
    set('mediaType', 'application/vnd.dev.sigstore.bundle+json;version=0.3'),
    'ok',
  ],
  [
    'with timestamps that nobody looks at',
    set('timestampVerificationData', { rfc3161Timestamps: [{ signedTimestamp: 'AA==' }] }, MATERIAL),
    'ok',
  ],
  ['with log entries that nobody demands', set('tlogEntries', [], MATERIAL), 'ok'],
  ['of version 0.2', set('mediaType', 'application/vnd.dev.sigstore.bundle+json;version=0.2'), 'unsupported'],
  ['of version 0.4', set('mediaType', 'application/vnd.dev.sigstore.bundle.v0.4+json'), 'unsupported'],
  ['without a type', without('mediaType'), 'malformed'],
  ['without material', without(MATERIAL), 'malformed'],
  ['without a key', without('publicKey', MATERIAL), 'malformed'],
  ['with a key and a certificate', set('certificate', { rawBytes: 'AA==' }, MATERIAL), 'malformed'],
  ['without content', without(ENVELOPE), 'malformed'],
  ['with both contents', set('messageSignature', { signature: 'AA==' }), 'malformed'],
  ['with an extra member', set('more', 1), 'malformed'],
  ['with an extra member of its material', set('more', 1, MATERIAL), 'malformed'],
  ['with an extra member of its envelope', set('more', 1, ENVELOPE), 'malformed'],
  [
    'with names as in the definition of the format',
    right.replace(MATERIAL, 'verification_material'),
    'malformed',
  ],
  ['with a member twice', right.replace('"mediaType"', '"mediaType":"x","mediaType"'), 'malformed'],
  ['with material that is null', set(MATERIAL, null), 'malformed'],
  ['with log entries that are null', set('tlogEntries', null, MATERIAL), 'malformed'],
  [
    'with two signatures',
    set('signatures', [{ sig: base64(signed.signature) }, { sig: 'AA==' }], ENVELOPE),
    'malformed',
  ],
  ['with no signature', set('signatures', [], ENVELOPE), 'malformed'],
  ['with an empty signature', set('sig', '', ENVELOPE, 'signatures', 0), 'unknown-key'],
  [
    'with a signature in the alphabet of URLs',
    set('sig', 'MEQCIA-_', ENVELOPE, 'signatures', 0),
    'malformed',
  ],
  ['with another payload', set('payload', base64(statementFor(OTHER_DIGEST)), ENVELOPE), 'unknown-key'],
  ['with a payload of another type', set('payloadType', 'text/plain', ENVELOPE), 'unsupported'],
  ['with a payload that is not base64', set('payload', '!', ENVELOPE), 'malformed'],
  ['with a payload that has bits beside the data', set('payload', 'MEV=', ENVELOPE), 'malformed'],
  ['cut', right.slice(0, -1), 'malformed'],
  ['empty', '', 'malformed'],
  ['of other bytes', '\x30\x80', 'malformed'],
  ['a list', `[${right}]`, 'malformed'],
  ['huge', set('payload', 'A'.repeat(2 ** 23), ENVELOPE), 'malformed'],
])('a bundle: %s', (_name, document, code) => {
  expect(verdict(requirement, bundle(document))).toBe(code);
});

test('lengths of an envelope cannot be moved between type and payload', () => {
  const type = 'application/vnd.in-toto+json';
  const wrong = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} 1 `), payload]);
  const document = bundleOf({ payload, signature: signBy(pair.privateKey, wrong) }, KEY);
  expect(verdict(requirement, bundle(document))).toBe('unknown-key');
});

test('another image, and an identity that is demanded', () => {
  expect(verdict(requirement, bundle(right), { ...IMAGE, digest: OTHER_DIGEST })).toBe('other-digest');
  const strict = { ...requirement, acceptsUnnamed: false };
  expect(verdict(strict, bundle(right))).toBe('no-identity');
  // The missing name is the last reason: a signature that does not hold says so.
  expect(verdict({ ...keyRequirement([newPair()]), acceptsUnnamed: false }, bundle(right))).toBe(
    'unknown-key',
  );
  expect(verdict(strict, bundle(right), { ...IMAGE, digest: OTHER_DIGEST })).toBe('other-digest');
});

const message = (
  signature: Buffer,
  digest: unknown = { algorithm: 'SHA2_256', digest: base64(createHash('sha256').update(MANIFEST).digest()) },
) => ({
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  verificationMaterial: KEY,
  messageSignature: { ...(digest !== undefined && { messageDigest: digest }), signature: base64(signature) },
});

test('a signature over the manifest itself', () => {
  const good = signBy(pair.privateKey, MANIFEST);
  expect(verdict(requirement, bundle(message(good)))).toBe('ok');
  expect(
    verdict(requirement, bundle({ ...message(good), messageSignature: { signature: base64(good) } })),
  ).toBe('ok');
  expect(verdict(requirement, bundle(message(good)), { ...IMAGE, digest: OTHER_DIGEST })).toBe(
    'other-digest',
  );
  expect(
    verdict(requirement, bundle(message(good, { algorithm: 'SHA2_512', digest: 'AA==' })), {
      ...IMAGE,
      digest: OTHER_DIGEST,
    }),
  ).toBe('other-digest');
  expect(verdict(requirement, bundle(message(good)), { digest: DIGEST, name: undefined })).toBe(
    'unsupported',
  );
  expect(verdict(requirement, bundle(message(signBy(pair.privateKey, payload))))).toBe('unknown-key');
  expect(verdict(requirement, bundle(message(good, { algorithm: 'SHA2_256', digest: '!' })))).toBe(
    'malformed',
  );
});

const log = newPair();
const logged = { ...requirement, rekor: [logMaterial(log)] };
const TIME = 1_770_000_000;

function withEntry(
  evidence: (body: Buffer) => object,
  of: { body?: Buffer; kind?: string; by?: Envelope } = {},
) {
  const by = of.by ?? signed;
  const body = of.body ?? dsseBody(by.payload, by.signature, keyPem(pair));
  const entry = { body, time: TIME, index: 70_000 };
  const material = { ...KEY, tlogEntries: [tlogEntry(log, entry, of.kind ?? 'dsse', evidence(body))] };
  return bundleOf(by, material);
}
const promised = (body: Buffer, by = log, index = 70_000) => ({
  inclusionPromise: { signedEntryTimestamp: base64(promise(by, { body, time: TIME, index })) },
});
const proven = (body: Buffer, before = 5, after = 6) => ({ inclusionProof: proof(log, body, before, after) });
const both = (body: Buffer) => ({ ...promised(body), ...proven(body) });
const changedProof = (change: (one: ReturnType<typeof proof>) => object) => (body: Buffer) => ({
  ...promised(body),
  inclusionProof: change(proof(log, body, 5, 6)),
});

test.each<[string, Document, string]>([
  ['with a promise and a proof', withEntry(both), 'ok'],
  ['with a promise', withEntry(promised), 'ok'],
  ['with a proof', withEntry(proven), 'ok'],
  ['with neither', withEntry(() => ({})), 'bad-log-entry'],
  ['missing', bundleOf(signed, KEY), 'no-log-entry'],
  ['with the promise of another log', withEntry((body) => promised(body, newPair())), 'bad-log-entry'],
  ['with a promise for another index', withEntry((body) => promised(body, log, 3)), 'bad-log-entry'],
  [
    'with a wrong promise beside a proof',
    withEntry((body) => ({ ...proven(body), ...promised(body, newPair()) })),
    'bad-log-entry',
  ],
  [
    'with a proof for another body',
    withEntry((body) => ({ ...promised(body), ...proven(Buffer.from('x')) })),
    'bad-log-entry',
  ],
  [
    'with a proof that lacks a hash',
    withEntry(changedProof((one) => ({ ...one, hashes: one.hashes.slice(1) }))),
    'bad-log-entry',
  ],
  [
    'with a proof that has a hash too many',
    withEntry(changedProof((one) => ({ ...one, hashes: [...one.hashes, base64(Buffer.alloc(32))] }))),
    'bad-log-entry',
  ],
  [
    'with a proof for another index',
    withEntry(changedProof((one) => ({ ...one, logIndex: '4' }))),
    'bad-log-entry',
  ],
  [
    'with a proof for an index outside',
    withEntry(changedProof((one) => ({ ...one, logIndex: '12' }))),
    'bad-log-entry',
  ],
  [
    'with a proof of another size',
    withEntry(changedProof((one) => ({ ...one, treeSize: '13' }))),
    'bad-log-entry',
  ],
  [
    'with another root',
    withEntry(changedProof((one) => ({ ...one, rootHash: base64(Buffer.alloc(32)) }))),
    'bad-log-entry',
  ],
  [
    'with a checkpoint that is changed',
    withEntry(
      changedProof((one) => ({
        ...one,
        checkpoint: { envelope: one.checkpoint.envelope.replace('log.example', 'log.exemple') },
      })),
    ),
    'bad-log-entry',
  ],
  [
    'with a checkpoint without signature',
    withEntry(
      changedProof((one) => ({
        ...one,
        checkpoint: { envelope: one.checkpoint.envelope.replace(/\n\n.*/s, '\n\n') },
      })),
    ),
    'malformed',
  ],
  [
    'with a checkpoint that is none',
    withEntry(changedProof((one) => ({ ...one, checkpoint: { envelope: 'x' } }))),
    'malformed',
  ],
  ['with a negative size', withEntry(changedProof((one) => ({ ...one, treeSize: '-1' }))), 'malformed'],
  ['with a size as a number', withEntry(changedProof((one) => ({ ...one, treeSize: 12 }))), 'malformed'],
  [
    'about another signature',
    withEntry(both, { body: dsseBody(payload, signBy(pair.privateKey, payload), keyPem(pair)) }),
    'bad-log-entry',
  ],
  [
    'about another payload',
    withEntry(both, { body: dsseBody(Buffer.from('x'), signed.signature, keyPem(pair)) }),
    'bad-log-entry',
  ],
  [
    'about another key',
    withEntry(both, { body: dsseBody(payload, signed.signature, keyPem(newPair())) }),
    'bad-log-entry',
  ],
  ['of an older kind', withEntry(both, { kind: 'intoto' }), 'unsupported'],
  [
    'of a kind that its body is not',
    withEntry(both, { kind: 'hashedrekord', body: hashedrekord(payload, signed.signature, keyPem(pair)) }),
    'malformed',
  ],
])('a log entry that is demanded: %s', (_name, document, code) => {
  expect(verdict(logged, bundle(document))).toBe(code);
});

test('the proof holds in trees of every form', () => {
  for (let size = 1; size <= 9; size += 1)
    for (let before = 0; before < size; before += 1)
      expect([
        size,
        before,
        verdict(logged, bundle(withEntry((body) => proven(body, before, size - before - 1)))),
      ]).toEqual([size, before, 'ok']);
});

test('an entry of a log that nobody knows stands beside a good one', () => {
  const foreign = at(
    withEntry((body) => promised(body, newPair())),
    MATERIAL,
  )['tlogEntries'] as object[];
  const good = at(withEntry(both), MATERIAL)['tlogEntries'] as object[];
  for (const tlogEntries of [
    [...foreign, ...good],
    [...good, ...foreign],
  ])
    expect(verdict(logged, bundle(bundleOf(signed, { ...KEY, tlogEntries })))).toBe('ok');
  expect(verdict(logged, bundle(bundleOf(signed, { ...KEY, tlogEntries: Array(9).fill(good[0]) })))).toBe(
    'malformed',
  );
});

test('a signature over the manifest, in a log', () => {
  const signature = signBy(pair.privateKey, MANIFEST);
  const entry = { body: hashedrekord(MANIFEST, signature, keyPem(pair)), time: TIME, index: 1 };
  const tlogEntries = [tlogEntry(log, entry, 'hashedrekord', promised(entry.body, log, 1))];
  const document = { ...message(signature), verificationMaterial: { ...KEY, tlogEntries } };
  expect(verdict(logged, bundle(document))).toBe('ok');
});

const authority = new Authority();
const pki = pkiRequirement(authority);
const bySigner = envelope(payload, authority.signer.privateKey);
const raw = (der: Buffer) => ({ rawBytes: base64(der) });
const chainOf = (...ders: Buffer[]) => ({ x509CertificateChain: { certificates: ders.map(raw) } });

test('certificates in a bundle', () => {
  const [leaf, between, root] = [authority.leafDer(), authority.betweenDer(), authority.rootDer()];
  const judged = (material: object) => verdict(pki, bundle(bundleOf(bySigner, material)));
  expect(judged(chainOf(leaf, between))).toBe('ok');
  expect(judged(chainOf(leaf, root, between))).toBe('ok');
  expect(judged(chainOf(between, leaf))).toBe('untrusted-chain');
  expect(judged(chainOf(leaf))).toBe('untrusted-chain');
  expect(judged({ certificate: raw(leaf) })).toBe('untrusted-chain');
  expect(judged(KEY)).toBe('untrusted-chain');
  expect(judged(chainOf(Buffer.concat([leaf, Buffer.of(0)]), between))).toBe('malformed');
  expect(judged(chainOf(leaf, between.subarray(0, -1)))).toBe('malformed');
  expect(judged(chainOf(leaf, ...Array<Buffer>(10).fill(between)))).toBe('malformed');
  expect(judged({ certificate: { rawBytes: base64(pem(leaf)) } })).toBe('malformed');
  const known = pkiRequirement(authority, {
    intermediates: { from: '/keys/between.pem', bytes: Buffer.from(pem(between)) },
  });
  expect(verifySigstore(known, bundle(bundleOf(bySigner, { certificate: raw(leaf) })), IMAGE, NOW).ok).toBe(
    true,
  );
  expect(verdict(known, bundle(bundleOf(signed, { certificate: raw(leaf) })))).toBe('bad-signature');
  // A requirement of keys does not look at a certificate.
  expect(verdict(requirement, bundle(bundleOf(signed, { certificate: raw(Buffer.from('x')) })))).toBe('ok');
});
