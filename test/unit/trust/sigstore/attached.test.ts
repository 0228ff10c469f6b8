/** Signatures of the old scheme, and their tampered twins. */
import { expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import type { SignedIdentity } from '../../../../lib/trust/policy/requirement.ts';
import {
  ANNOTATIONS,
  attached,
  base64,
  hashedrekord,
  keyPem,
  payloadFor,
  receipt,
  signAttached,
  signBy,
} from '../../../support/sigstore/signer.ts';
import { newPair } from '../../../support/sigstore/x509.ts';
import { DIGEST, IMAGE, keyRequirement, logMaterial, OTHER_DIGEST, REPOSITORY, verdict } from './support.ts';

const pair = newPair();
const requirement = keyRequirement([pair]);
const payload = payloadFor(DIGEST, REPOSITORY);
const signed = (text: string | Buffer) => signAttached(Buffer.from(text), pair.privateKey);
const text = payload.toString();

test.each([
  ['as cosign writes it', text, 'ok'],
  ['as skopeo writes it', text.replace('null', '{"creator":"x","timestamp":1700000000}'), 'ok'],
  ['with annotations of its signer', text.replace('null', '{"creator":"x","build":{"n":[1,2]}}'), 'ok'],
  ['another digest', payloadFor(OTHER_DIGEST, REPOSITORY), 'other-digest'],
  ['a digest of another algorithm', text.replace('sha256:', 'sha512:'), 'malformed'],
  ['a digest in capital letters', text.replace(DIGEST, DIGEST.toUpperCase()), 'malformed'],
  ['another repository', payloadFor(DIGEST, 'registry.example/ns/other'), 'other-identity'],
  ['no repository', payloadFor(DIGEST, ''), 'other-identity'],
  ['the type of GPG signatures', text.replace('cosign container image', 'atomic container'), 'malformed'],
  ['an extra member', text.replace('"optional"', '"more":1,"optional"'), 'malformed'],
  ['an extra member of critical', text.replace('"type"', '"more":1,"type"'), 'malformed'],
  ['an extra member of image', text.replace('"docker-manifest', '"more":1,"docker-manifest'), 'malformed'],
  ['no optional', text.replace(',"optional":null', ''), 'malformed'],
  ['optional twice', text.replace('"optional":null', '"optional":null,"optional":null'), 'malformed'],
  [
    'a digest twice',
    text.replace(
      '"docker-manifest-digest"',
      `"docker-manifest-digest":"${OTHER_DIGEST}","docker-manifest-digest"`,
    ),
    'malformed',
  ],
  [
    'a digest twice, one escaped',
    text.replace(
      '"docker-manifest-digest"',
      `"docker-m\\u0061nifest-digest":"${OTHER_DIGEST}","docker-manifest-digest"`,
    ),
    'malformed',
  ],
  ['a timestamp that is no number', text.replace('null', '{"timestamp":"now"}'), 'malformed'],
  ['cut', text.slice(0, -1), 'malformed'],
  ['bytes behind it', `${text}x`, 'malformed'],
  ['nothing', '', 'malformed'],
  ['a list', '[]', 'malformed'],
  ['not UTF-8', Buffer.from(text.replace('null', '{"x":"\xff"}'), 'latin1'), 'malformed'],
  ['deep', text.replace('null', `${'{"a":'.repeat(99)}1${'}'.repeat(99)}`), 'malformed'],
  ['huge', text.replace('null', `{"a":"${'a'.repeat(2 ** 22)}"}`), 'malformed'],
])('a payload that is signed: %s', (_name, said, code) => {
  expect(verdict(requirement, signed(said))).toBe(code);
});

test('another payload under the same signature', () => {
  const { annotations } = signed(text);
  const other = payloadFor(OTHER_DIGEST, REPOSITORY);
  const image = { ...IMAGE, digest: OTHER_DIGEST };
  expect(verdict(requirement, { ...signed(text), payload: other }, image)).toBe('unknown-key');
  expect(verdict(requirement, attached(Buffer.from(`${text} `), Object.fromEntries(annotations)))).toBe(
    'unknown-key',
  );
});

const signature = base64(signBy(pair.privateKey, payload));

test.each([
  ['none', undefined, 'malformed'],
  ['empty', '', 'unknown-key'],
  ['with white space', ` ${signature}`, 'malformed'],
  ['in lines, as openssl writes it', signature.replace(/(.{20})/g, '$1\n'), 'ok'],
  ['in lines of Windows', `${signature}\r\n`, 'ok'],
  ['without padding', signature.replace(/=*$/, ''), signature.endsWith('=') ? 'malformed' : 'ok'],
  ['in the alphabet of URLs', 'MEQCIA-_', 'malformed'],
  ['with bits beside the data', 'MEV=', 'malformed'],
  ['cut', signature.slice(0, 40), 'unknown-key'],
  ['huge', 'A'.repeat(2 ** 22), 'unknown-key'],
])('a signature: %s', (_name, value, code) => {
  expect(
    verdict(requirement, attached(payload, value === undefined ? {} : { [ANNOTATIONS.signature]: value })),
  ).toBe(code);
});

test('the identity is held against the reference of the payload', () => {
  const exact: SignedIdentity = { type: 'matchRepoDigestOrExact' };
  const strict = { ...requirement, signedIdentity: exact };
  expect(verdict(strict, signed(payloadFor(DIGEST, `${REPOSITORY}:v1`)))).toBe('ok');
  expect(verdict(strict, signed(payloadFor(DIGEST, `${REPOSITORY}:v2`)))).toBe('other-identity');
  // cosign writes no tag.
  expect(verdict(strict, signed(text))).toBe('other-identity');
});

const log = newPair();
const logged = { ...requirement, rekor: [logMaterial(log)] };
const bytes = signBy(pair.privateKey, payload);
const entry = { body: hashedrekord(payload, bytes, keyPem(pair)), time: 1_770_000_000, index: 7 };
const right = receipt(log, entry);
const rejoined = (
  change: (receipt: { Payload: Record<string, unknown>; SignedEntryTimestamp: unknown }) => void,
) => {
  const document = JSON.parse(right);
  change(document);
  return JSON.stringify(document);
};
const about = (body: Buffer) => receipt(log, { ...entry, body });
const withBody = (change: (body: string) => string) => about(Buffer.from(change(entry.body.toString())));
const hash = createHash('sha256').update(payload).digest('hex');

test.each([
  ['right', right, 'ok'],
  ['none', undefined, 'no-log-entry'],
  [
    'with other white space and another order',
    JSON.stringify(
      JSON.parse(right),
      ['Payload', 'logIndex', 'logID', 'integratedTime', 'body', 'SignedEntryTimestamp'],
      2,
    ),
    'ok',
  ],
  ['by another log', receipt(newPair(), entry), 'bad-log-entry'],
  [
    'with another time',
    rejoined(({ Payload }) => {
      Payload['integratedTime'] = 1;
    }),
    'bad-log-entry',
  ],
  [
    'with another index',
    rejoined(({ Payload }) => {
      Payload['logIndex'] = 8;
    }),
    'bad-log-entry',
  ],
  [
    'with a broken number',
    rejoined(({ Payload }) => {
      Payload['logIndex'] = 1.5;
    }),
    'malformed',
  ],
  [
    'with a number that has no exact value',
    right.replace('"logIndex":7', '"logIndex":9007199254740993'),
    'malformed',
  ],
  [
    'with a number as text',
    rejoined(({ Payload }) => {
      Payload['logIndex'] = '7';
    }),
    'malformed',
  ],
  [
    'with an extra member',
    rejoined(({ Payload }) => {
      Payload['more'] = 1;
    }),
    'malformed',
  ],
  [
    'without its promise',
    rejoined((document) => {
      document.SignedEntryTimestamp = '';
    }),
    'bad-log-entry',
  ],
  [
    'with a promise that is null',
    rejoined((document) => {
      document.SignedEntryTimestamp = null;
    }),
    'malformed',
  ],
  ['with a member twice', right.replace('"logIndex":7', '"logIndex":7,"logIndex":7'), 'malformed'],
  ['cut', right.slice(0, -1), 'malformed'],
  ['empty', '', 'malformed'],
  ['about another payload', about(hashedrekord(Buffer.from('x'), bytes, keyPem(pair))), 'bad-log-entry'],
  [
    'about another signature',
    about(hashedrekord(payload, signBy(pair.privateKey, payload), keyPem(pair))),
    'bad-log-entry',
  ],
  ['about another key', about(hashedrekord(payload, bytes, keyPem(newPair()))), 'bad-log-entry'],
  ['about two keys', about(hashedrekord(payload, bytes, keyPem(pair) + keyPem(newPair()))), 'bad-log-entry'],
  ['about no key', about(hashedrekord(payload, bytes, '')), 'malformed'],
  ['of another kind', withBody((body) => body.replace('hashedrekord', 'rekord')), 'malformed'],
  ['of another version', withBody((body) => body.replace('0.0.1', '0.0.2')), 'malformed'],
  ['with another algorithm', withBody((body) => body.replace('"sha256"', '"sha512"')), 'unsupported'],
  [
    'with a digest in capital letters',
    withBody((body) => body.replace(hash, hash.toUpperCase())),
    'bad-log-entry',
  ],
  [
    'with a body that has an extra member',
    withBody((body) => body.replace('"spec"', '"more":1,"spec"')),
    'malformed',
  ],
  ['with a body that is no JSON', about(Buffer.from('x')), 'malformed'],
])('a log entry that is demanded: %s', (_name, value, code) => {
  const annotations = {
    [ANNOTATIONS.signature]: base64(bytes),
    ...(value !== undefined && { [ANNOTATIONS.log]: value }),
  };
  expect(verdict(logged, attached(payload, annotations))).toBe(code);
});

test('a log entry that nobody demands is not looked at', () => {
  expect(
    verdict(
      requirement,
      attached(payload, { [ANNOTATIONS.signature]: base64(bytes), [ANNOTATIONS.log]: '{' }),
    ),
  ).toBe('ok');
});

test('one of several logs is enough', () => {
  const several = { ...requirement, rekor: [logMaterial(newPair()), logMaterial(log)] };
  expect(
    verdict(several, attached(payload, { [ANNOTATIONS.signature]: base64(bytes), [ANNOTATIONS.log]: right })),
  ).toBe('ok');
});
