/** The grammar of containers-policy.json(5): what is read, and that everything else is refused. */
import { describe, expect, test } from 'bun:test';
import { choose, readPolicy } from '../../../../lib/trust/policy/read-policy.ts';
import { scopesOfName, scopesOfPath } from '../../../../lib/trust/policy/scopes.ts';
import { PolicyProblem } from '../../../../lib/trust/policy/strict.ts';

const KEY = Buffer.from('a key');
const DATA = KEY.toString('base64');
const read = (path: string) => {
  if (path === '/missing') throw new PolicyProblem('there is no such file');
  return KEY;
};
const parse = (policy: unknown) =>
  readPolicy(Buffer.from(typeof policy === 'string' ? policy : JSON.stringify(policy)), read);
const requirement = (one: unknown) => parse({ default: [one] }).default[0];

const ANYTHING = { type: 'insecureAcceptAnything' };
const GPG = { type: 'signedBy', keyType: 'GPGKeys' };
const SIGSTORE = { type: 'sigstoreSigned' };
const ring = { from: '/ring', bytes: KEY };
const identity = { type: 'matchRepoDigestOrExact' } as const;

describe('a requirement', () => {
  test.each([
    [ANYTHING, ANYTHING],
    [{ type: 'reject' }, { type: 'reject' }],
    [
      { ...GPG, keyPath: '/ring' },
      { type: 'signedBy', keyrings: [ring], signedIdentity: identity },
    ],
    [
      { ...GPG, keyPaths: ['/ring', '/ring'] },
      { type: 'signedBy', keyrings: [ring, ring], signedIdentity: identity },
    ],
    [
      { ...GPG, keyData: DATA, signedIdentity: { type: 'matchRepository' } },
      {
        type: 'signedBy',
        keyrings: [{ from: 'default[0].keyData', bytes: KEY }],
        signedIdentity: { type: 'matchRepository' },
      },
    ],
    [
      { ...SIGSTORE, keyDatas: [DATA], rekorPublicKeyPath: '/ring' },
      {
        type: 'sigstoreSigned',
        trusted: { kind: 'keys', keys: [{ from: 'default[0].keyDatas[0]', bytes: KEY }] },
        rekor: [ring],
        signedIdentity: identity,
        acceptsUnnamed: false,
      },
    ],
    [
      {
        ...SIGSTORE,
        fulcio: { caPath: '/ring', oidcIssuer: 'https://issuer.example', subjectEmail: 'a@b.example' },
        rekorPublicKeyPaths: ['/ring'],
      },
      {
        type: 'sigstoreSigned',
        trusted: {
          kind: 'fulcio',
          ca: ring,
          oidcIssuer: 'https://issuer.example',
          subjectEmail: 'a@b.example',
          identities: [],
        },
        rekor: [ring],
        signedIdentity: identity,
        acceptsUnnamed: false,
      },
    ],
    [
      { ...SIGSTORE, pki: { caRootsData: DATA, subjectHostname: 'signer.example' } },
      {
        type: 'sigstoreSigned',
        trusted: {
          kind: 'pki',
          roots: { from: 'default[0].pki.caRootsData', bytes: KEY },
          intermediates: undefined,
          subjectEmail: undefined,
          subjectHostname: 'signer.example',
        },
        rekor: [],
        signedIdentity: identity,
        acceptsUnnamed: false,
      },
    ],
  ])('%j', (given, expected) => {
    expect(requirement(given) as unknown).toEqual(expected);
  });

  test.each([
    [{}, 'default[0].type must be a text'],
    [[], 'default[0] must be an object'],
    [null, 'default[0] must be an object'],
    [{ type: 'Reject' }, "default[0] has an unknown type 'Reject'"],
    [{ ...ANYTHING, more: 1 }, "default[0] has an unknown key 'more'"],
    [{ type: 'signedBaseLayer', baseLayerIdentity: identity }, 'no program can judge'],
    [{ ...GPG }, 'default[0] has none of keyPath, keyPaths, keyData'],
    [{ ...GPG, keyPath: '/ring', keyData: DATA }, 'default[0] has both keyPath and keyData'],
    [{ ...GPG, keyPath: 'ring' }, 'default[0].keyPath must be an absolute path'],
    [{ ...GPG, keyPath: '' }, 'default[0].keyPath must be a text'],
    [{ ...GPG, keyPath: ['/ring'] }, 'default[0].keyPath must be a text'],
    [{ ...GPG, keyPath: '/missing' }, 'there is no such file'],
    [{ ...GPG, keyPaths: [] }, 'default[0].keyPaths must be a list that is not empty'],
    [{ ...GPG, keyPaths: '/ring' }, 'default[0].keyPaths must be a list that is not empty'],
    [{ ...GPG, keyData: 'a' }, 'default[0].keyData must be base64'],
    [{ ...GPG, keyType: 'X509Certificates', keyPath: '/ring' }, 'graft can judge GPGKeys only'],
    [{ type: 'signedBy', keyPath: '/ring' }, 'default[0].keyType must be a text'],
    [{ ...GPG, keyPath: '/ring', signedIdentity: null }, 'default[0].signedIdentity must be an object'],
    [
      { ...GPG, keyPath: '/ring', signedIdentity: { type: 'match' } },
      "signedIdentity has an unknown type 'match'",
    ],
    [
      { ...GPG, keyPath: '/ring', signedIdentity: { ...identity, x: 1 } },
      "signedIdentity has an unknown key 'x'",
    ],
    [
      {
        ...GPG,
        keyPath: '/ring',
        signedIdentity: { type: 'exactReference', dockerReference: 'a.example/b' },
      },
      'neither a tag nor a digest',
    ],
    [
      { ...GPG, keyPath: '/ring', signedIdentity: { type: 'exactRepository', dockerRepository: 'A/B' } },
      'is no reference',
    ],
    [
      {
        ...GPG,
        keyPath: '/ring',
        signedIdentity: { type: 'remapIdentity', prefix: 'a.example/b:v1', signedPrefix: 'c' },
      },
      'which is no host[:port][/path]',
    ],
    [
      { ...GPG, keyPath: '/ring', signedIdentity: { type: 'remapIdentity', prefix: 'a.example' } },
      'signedPrefix must be a text',
    ],
    [{ ...SIGSTORE }, 'default[0] has none of keyPath'],
    [{ ...SIGSTORE, keyPath: '/ring', pki: {} }, 'default[0] has both keyPath and pki'],
    [
      { ...SIGSTORE, fulcio: { caPath: '/ring', oidcIssuer: 'i', subjectEmail: 'e' } },
      'which needs one of rekorPublicKeyPath',
    ],
    [
      { ...SIGSTORE, fulcio: { caPath: '/ring', oidcIssuer: 'i' }, rekorPublicKeyData: DATA },
      'subjectEmail must be a text',
    ],
    [
      {
        ...SIGSTORE,
        fulcio: { caPath: '/r', caData: DATA, oidcIssuer: 'i', subjectEmail: 'e' },
        rekorPublicKeyData: DATA,
      },
      'has both caPath and caData',
    ],
    [
      { ...SIGSTORE, pki: { caRootsPath: '/ring', subjectEmail: 'e' }, rekorPublicKeyData: DATA },
      'which allows no rekorPublicKeyData',
    ],
    [{ ...SIGSTORE, pki: { caRootsPath: '/ring' } }, 'has neither subjectEmail nor subjectHostname'],
    [
      { ...SIGSTORE, keyPath: '/ring', rekorPublicKeyPath: '/r', rekorPublicKeyData: DATA },
      'has both rekorPublicKeyPath',
    ],
  ])('%j is refused', (given, reason) => {
    expect(() => requirement(given)).toThrow(PolicyProblem);
    expect(() => requirement(given)).toThrow(reason);
  });
});

describe('a policy', () => {
  test.each([
    ['[]', 'the policy must be an object'],
    ['null', 'the policy must be an object'],
    ['{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}', 'it has a key twice'],
    ['{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}', 'it has a key twice'],
    ['{"default":[{"type":"reject"}]} {}', 'it is not JSON'],
    ['', 'it is not JSON'],
    [{}, 'default must be a list of requirements that is not empty'],
    [{ default: [] }, 'default must be a list of requirements that is not empty'],
    [{ default: ANYTHING }, 'default must be a list of requirements that is not empty'],
    [{ default: [ANYTHING], transports: [] }, 'transports must be an object'],
    [{ default: [ANYTHING], transports: null }, 'transports must be an object'],
    [{ default: [ANYTHING], Transports: {} }, "the policy has an unknown key 'Transports'"],
    [{ default: [ANYTHING], transports: { Docker: {} } }, "transports has an unknown transport 'Docker'"],
    [{ default: [ANYTHING], transports: { docker: { '': [] } } }, 'transports.docker[""] must be a list'],
    [{ default: [ANYTHING], transports: { docker: { 'A.example': [ANYTHING] } } }, 'small letters'],
    [
      { default: [ANYTHING], transports: { docker: { 'docker://a.example': [ANYTHING] } } },
      'it is neither *.domain nor',
    ],
    [
      { default: [ANYTHING], transports: { docker: { 'a.*.example': [ANYTHING] } } },
      'it is neither *.domain nor',
    ],
    [
      { default: [ANYTHING], transports: { docker: { '*.example:5000': [ANYTHING] } } },
      'it is neither *.domain nor',
    ],
    [
      { default: [ANYTHING], transports: { docker: { 'a.example/b/': [ANYTHING] } } },
      'it is neither *.domain nor',
    ],
    [
      { default: [ANYTHING], transports: { docker: { 'registry-1.docker.io': [ANYTHING] } } },
      'its name is docker.io',
    ],
    [{ default: [ANYTHING], transports: { oci: { '/': [ANYTHING] } } }, 'it must be an absolute path'],
    [{ default: [ANYTHING], transports: { oci: { '/a/../b': [ANYTHING] } } }, 'it must be an absolute path'],
    [
      { default: [ANYTHING], transports: { tarball: { '/a': [ANYTHING] } } },
      'this transport has only the scope ""',
    ],
  ])('%j is refused', (given, reason) => {
    expect(() => parse(given)).toThrow(PolicyProblem);
    expect(() => parse(given)).toThrow(reason);
  });

  const policy = parse({
    default: [{ type: 'reject' }],
    transports: {
      docker: {
        'docker.io/library/app:v1': [ANYTHING],
        'registry.example:5000/team': [ANYTHING],
        'registry.example': [ANYTHING],
        '*.example': [ANYTHING],
      },
      oci: { '': [ANYTHING], '/images/team': [ANYTHING] },
    },
  });
  const name = (repository: string, tag = 'v1') => scopesOfName({ repository, tag, digest: undefined });
  test.each([
    ['docker', name('docker.io/library/app'), 'docker docker.io/library/app:v1'],
    ['docker', name('docker.io/library/app', 'v2'), 'default'],
    ['docker', name('registry.example:5000/team/app'), 'docker registry.example:5000/team'],
    ['docker', name('registry.example:5000/other/app'), 'docker *.example'],
    ['docker', name('registry.example/team/app'), 'docker registry.example'],
    ['docker', name('deep.registry.example/app'), 'docker *.example'],
    ['docker', name('notregistry.example/app'), 'docker *.example'],
    ['docker', name('example/app'), 'default'],
    ['oci', scopesOfPath('/images/team/app'), 'oci /images/team'],
    ['oci', scopesOfPath('/images/teams'), 'oci ""'],
    ['tarball', [], 'default'],
  ])('chooses for %s %j: %s', (transport, scopes, chosen) => {
    expect(choose(policy, transport, scopes).scope).toBe(chosen);
  });
});
