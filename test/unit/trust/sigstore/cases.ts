/**
 * Signatures that cosign 2 made, under policies, with the verdict of skopeo 1.18 (ci/sigstore-verdicts asked it) and ours.
 * An image has one signature or several, of which one has to count.
 */
import type { AttachedSignature } from '../../../../lib/trust/sigstore/artefact.ts';
import { ANNOTATIONS, attached, keyPem } from '../../../support/sigstore/signer.ts';
import { newPair } from '../../../support/sigstore/x509.ts';
import { attachedFixture, fixture, HOST, REPOSITORY } from './fixtures.ts';

export interface Case {
  readonly name: string;
  /** The number of the image. */
  readonly image: number;
  /** The image is asked for by this tag; undefined: by its digest. */
  readonly tag?: string | undefined;
  readonly signatures: readonly AttachedSignature[];
  /** As in a policy.json, without its type. */
  readonly requirement: Readonly<Record<string, unknown>>;
  /** `ok`, or the code of the refusal of the last signature. */
  readonly graft: string;
  readonly skopeo: 'accepts' | 'refuses';
  /** Why the two differ. */
  readonly why?: string;
}

const data = (text: string | Buffer) => Buffer.from(text).toString('base64');
const keyData = data(fixture('cosign.pub'));
const strangeKey = data(keyPem(newPair()));
const rekorPublicKeyData = data(fixture('rekor.pub'));
const caData = data(fixture('fulcio.pem'));
const caRootsData = data(fixture('pki-root.pem'));
const caIntermediatesData = data(fixture('pki-between.pem'));
const matchRepository = { signedIdentity: { type: 'matchRepository' } };
const LOGIN = { oidcIssuer: 'https://login.example', subjectEmail: 'dev@example.org' };

const key = { keyData, ...matchRepository };
const log = { ...key, rekorPublicKeyData };
const login = { fulcio: { caData, ...LOGIN }, rekorPublicKeyData, ...matchRepository };
const pki = (more: object) => ({ pki: { caRootsData, ...more }, ...matchRepository });
const byEmail = pki({ subjectEmail: LOGIN.subjectEmail });

const made = {
  key: attachedFixture('cosign2-key'),
  log: attachedFixture('cosign2-log'),
  login: attachedFixture('cosign2-login'),
  pki: attachedFixture('cosign2-pki'),
};

type Name = keyof typeof ANNOTATIONS;
/** The signature with another annotation; undefined removes it. */
function changed(
  of: AttachedSignature,
  name: Name,
  change: (text: string) => string | undefined,
): AttachedSignature {
  const { [ANNOTATIONS[name]]: text = '', ...rest } = Object.fromEntries(of.annotations);
  const value = change(text);
  return attached(of.payload, value === undefined ? rest : { ...rest, [ANNOTATIONS[name]]: value });
}
const without = (of: AttachedSignature, name: Name) => changed(of, name, () => undefined);
const from = (of: AttachedSignature, other: AttachedSignature, name: Name) =>
  changed(of, name, () => other.annotations.get(ANNOTATIONS[name]));
const withPayload = (of: AttachedSignature, change: (text: string) => string) =>
  attached(Buffer.from(change(Buffer.from(of.payload).toString())), Object.fromEntries(of.annotations));

const accepted = { graft: 'ok', skopeo: 'accepts' } as const;
const refused = (graft: string) => ({ graft, skopeo: 'refuses' }) as const;

const KEYS: readonly Case[] = [
  { name: 'the key', image: 1, signatures: [made.key], requirement: key, ...accepted },
  {
    name: 'the key, by digest',
    image: 1,
    tag: undefined,
    signatures: [made.key],
    requirement: key,
    ...accepted,
  },
  {
    name: 'another key',
    image: 1,
    signatures: [made.key],
    requirement: { ...key, keyData: strangeKey },
    ...refused('unknown-key'),
  },
  {
    name: 'one of two keys',
    image: 1,
    signatures: [made.key],
    requirement: { keyDatas: [strangeKey, keyData], ...matchRepository },
    ...accepted,
  },
  {
    name: 'a signature for another image',
    image: 2,
    signatures: [made.key],
    requirement: key,
    ...refused('other-digest'),
  },
  {
    name: 'a second signature for this image',
    image: 1,
    signatures: [made.log, made.key],
    requirement: key,
    ...accepted,
  },
  {
    name: 'the exact tag is demanded, and cosign writes none',
    image: 1,
    signatures: [made.key],
    requirement: { keyData },
    ...refused('other-identity'),
  },
  {
    name: 'the exact name is demanded, by digest',
    image: 1,
    tag: undefined,
    signatures: [made.key],
    requirement: { keyData },
    ...refused('other-identity'),
  },
  {
    name: 'another repository is demanded',
    image: 1,
    signatures: [made.key],
    requirement: {
      keyData,
      signedIdentity: { type: 'exactRepository', dockerRepository: `${HOST}/ns/other` },
    },
    ...refused('other-identity'),
  },
  {
    name: 'the repository is demanded by name',
    image: 1,
    signatures: [made.key],
    requirement: { keyData, signedIdentity: { type: 'exactRepository', dockerRepository: REPOSITORY } },
    ...accepted,
  },
  {
    name: 'an exact reference is demanded',
    image: 1,
    signatures: [made.key],
    requirement: { keyData, signedIdentity: { type: 'exactReference', dockerReference: `${REPOSITORY}:v1` } },
    ...refused('other-identity'),
  },
  {
    name: 'the name is mapped to another one',
    image: 1,
    signatures: [made.key],
    requirement: {
      keyData,
      signedIdentity: { type: 'remapIdentity', prefix: HOST, signedPrefix: 'registry.example' },
    },
    ...refused('other-identity'),
  },
  {
    name: 'a changed payload',
    image: 1,
    signatures: [withPayload(made.key, (text) => `${text} `)],
    requirement: key,
    ...refused('unknown-key'),
  },
  {
    name: 'a payload with another optional part',
    image: 1,
    signatures: [withPayload(made.key, (text) => text.replace('null', '{}'))],
    requirement: key,
    ...refused('unknown-key'),
  },
  {
    name: 'no signature in the annotations',
    image: 1,
    signatures: [without(made.key, 'signature')],
    requirement: key,
    ...refused('malformed'),
  },
  {
    name: 'a signature that is not base64',
    image: 1,
    signatures: [changed(made.key, 'signature', (text) => `!${text}`)],
    requirement: key,
    ...refused('malformed'),
  },
  {
    name: 'a signature in lines',
    image: 1,
    signatures: [changed(made.key, 'signature', (text) => text.replace(/(.{40})/g, '$1\n'))],
    requirement: key,
    ...accepted,
  },
  {
    name: 'a signature that is cut',
    image: 1,
    signatures: [changed(made.key, 'signature', (text) => text.slice(0, 40))],
    requirement: key,
    ...refused('unknown-key'),
  },
  {
    name: 'the signature of another image',
    image: 1,
    signatures: [from(made.key, made.log, 'signature')],
    requirement: key,
    ...refused('unknown-key'),
  },
];

const LOGS: readonly Case[] = [
  { name: 'the log', image: 2, signatures: [made.log], requirement: log, ...accepted },
  {
    name: 'one of two logs',
    image: 2,
    signatures: [made.log],
    requirement: { ...key, rekorPublicKeyDatas: [strangeKey, rekorPublicKeyData] },
    ...accepted,
  },
  { name: 'no log is demanded', image: 2, signatures: [made.log], requirement: key, ...accepted },
  { name: 'no log entry', image: 1, signatures: [made.key], requirement: log, ...refused('no-log-entry') },
  {
    name: 'the log entry removed',
    image: 2,
    signatures: [without(made.log, 'log')],
    requirement: log,
    ...refused('no-log-entry'),
  },
  {
    name: 'another log',
    image: 2,
    signatures: [made.log],
    requirement: { ...log, rekorPublicKeyData: strangeKey },
    ...refused('bad-log-entry'),
  },
  {
    name: 'another key, with a log',
    image: 2,
    signatures: [made.log],
    requirement: { ...log, keyData: strangeKey },
    ...refused('unknown-key'),
  },
  {
    name: 'the log entry of another signature',
    image: 1,
    signatures: [from(made.key, made.log, 'log')],
    requirement: log,
    ...refused('bad-log-entry'),
  },
  {
    name: 'the log entry at another time',
    image: 2,
    signatures: [
      changed(made.log, 'log', (text) => text.replace(/"integratedTime":\d/, '"integratedTime":2')),
    ],
    requirement: log,
    ...refused('bad-log-entry'),
  },
  {
    name: 'the log entry with another index',
    image: 2,
    signatures: [changed(made.log, 'log', (text) => text.replace('"logIndex":7', '"logIndex":8'))],
    requirement: log,
    ...refused('bad-log-entry'),
  },
  {
    name: 'the log entry with an extra member',
    image: 2,
    signatures: [changed(made.log, 'log', (text) => text.replace('"logIndex"', '"more":1,"logIndex"'))],
    requirement: log,
    ...refused('malformed'),
  },
  {
    name: 'the log entry with a member twice',
    image: 2,
    signatures: [changed(made.log, 'log', (text) => text.replace('"logIndex"', '"logIndex":7,"logIndex"'))],
    requirement: log,
    ...refused('malformed'),
  },
  {
    name: 'the log entry that is cut',
    image: 2,
    signatures: [changed(made.log, 'log', (text) => text.slice(0, -2))],
    requirement: log,
    ...refused('malformed'),
  },
];

const CERTIFICATES: readonly Case[] = [
  { name: 'the login', image: 3, signatures: [made.login], requirement: login, ...accepted },
  {
    name: 'another address',
    image: 3,
    signatures: [made.login],
    requirement: { ...login, fulcio: { caData, ...LOGIN, subjectEmail: 'x@example.org' } },
    ...refused('other-subject'),
  },
  {
    name: 'another login provider',
    image: 3,
    signatures: [made.login],
    requirement: { ...login, fulcio: { caData, ...LOGIN, oidcIssuer: 'https://x.example' } },
    ...refused('other-subject'),
  },
  {
    name: 'another authority',
    image: 3,
    signatures: [made.login],
    requirement: { ...login, fulcio: { ...LOGIN, caData: caRootsData } },
    ...refused('untrusted-chain'),
  },
  {
    name: 'another log for the login',
    image: 3,
    signatures: [made.login],
    requirement: { ...login, rekorPublicKeyData: strangeKey },
    ...refused('bad-log-entry'),
  },
  {
    name: 'the login without its log entry',
    image: 3,
    signatures: [without(made.login, 'log')],
    requirement: login,
    ...refused('no-log-entry'),
  },
  {
    name: 'the login without its certificate',
    image: 3,
    signatures: [without(made.login, 'certificate')],
    requirement: login,
    ...refused('untrusted-chain'),
  },
  {
    name: 'the login without its chain',
    image: 3,
    signatures: [without(made.login, 'chain')],
    requirement: login,
    ...refused('untrusted-chain'),
  },
  {
    name: 'the login with the chain of others',
    image: 3,
    signatures: [from(made.login, made.pki, 'chain')],
    requirement: login,
    ...refused('untrusted-chain'),
  },
  {
    name: 'the login with the certificate of others',
    image: 3,
    signatures: [from(made.login, made.pki, 'certificate')],
    requirement: login,
    ...refused('bad-log-entry'),
  },
  {
    name: 'a key where a login is demanded',
    image: 2,
    signatures: [made.log],
    requirement: login,
    ...refused('untrusted-chain'),
  },
  {
    name: 'the authority of an operator',
    image: 4,
    signatures: [made.pki],
    requirement: byEmail,
    ...accepted,
  },
  {
    name: 'its host',
    image: 4,
    signatures: [made.pki],
    requirement: pki({ subjectHostname: 'build.example.org' }),
    ...accepted,
  },
  {
    name: 'its address and host',
    image: 4,
    signatures: [made.pki],
    requirement: pki({ subjectEmail: LOGIN.subjectEmail, subjectHostname: 'build.example.org' }),
    ...accepted,
  },
  {
    name: 'its address and another host',
    image: 4,
    signatures: [made.pki],
    requirement: pki({ subjectEmail: LOGIN.subjectEmail, subjectHostname: 'x.example.org' }),
    ...refused('other-subject'),
  },
  {
    name: 'another address under the authority',
    image: 4,
    signatures: [made.pki],
    requirement: pki({ subjectEmail: 'x@example.org' }),
    ...refused('other-subject'),
  },
  {
    name: 'another authority for pki',
    image: 4,
    signatures: [made.pki],
    requirement: { ...byEmail, pki: { caRootsData: caData, subjectEmail: LOGIN.subjectEmail } },
    ...refused('untrusted-chain'),
  },
  {
    name: 'no chain',
    image: 4,
    signatures: [without(made.pki, 'chain')],
    requirement: byEmail,
    ...refused('untrusted-chain'),
  },
  {
    name: 'no chain, and the operator has the certificates',
    image: 4,
    signatures: [without(made.pki, 'chain')],
    requirement: pki({ subjectEmail: LOGIN.subjectEmail, caIntermediatesData }),
    ...accepted,
  },
  {
    name: 'a chain in the wrong order',
    image: 4,
    signatures: [changed(made.pki, 'chain', () => `${fixture('pki-root.pem')}${fixture('pki-between.pem')}`)],
    requirement: byEmail,
    ...refused('untrusted-chain'),
  },
  {
    name: 'a certificate where a key is demanded',
    image: 4,
    signatures: [made.pki],
    requirement: key,
    ...accepted,
  },
  {
    name: 'a login where an authority is demanded',
    image: 3,
    signatures: [made.login],
    requirement: byEmail,
    ...refused('certificate-expired'),
  },
  {
    name: 'two certificates',
    image: 4,
    signatures: [changed(made.pki, 'certificate', (text) => text + text)],
    requirement: byEmail,
    ...refused('malformed'),
  },
  {
    name: 'text before the certificate',
    image: 4,
    signatures: [changed(made.pki, 'certificate', (text) => `text\n${text}`)],
    requirement: byEmail,
    graft: 'malformed',
    skopeo: 'accepts',
    why: 'graft reads nothing but PEM where a stranger wrote it',
  },
];

export const CASES: readonly Case[] = [...KEYS, ...LOGS, ...CERTIFICATES];
