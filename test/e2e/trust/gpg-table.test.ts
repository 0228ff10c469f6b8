/**
 * Policies with GPG keys, each given to graft and to the distribution's skopeo with the same image and the same
 * signatures. Both have to decide alike; where graft is stricter the case says why.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Digest, digestOf } from '../../../lib/base/digest.ts';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { defaultPolicy } from '../../../lib/registry/policy/policy.ts';
import { Guard } from '../../../lib/trust/guard.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { NEVER, RecordingLog } from '../../support/registries/registry-client.ts';
import { run } from '../../support/shell.ts';
import { GpgHome, payload } from '../../support/signatures/gpg-home.ts';
import { type ScratchStore, scratchStore } from '../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let dir: TempDir;
let registry: TestRegistry;
let store: ScratchStore;
let digest: Digest;
const rings: Record<string, string> = {};
const blobs: Record<string, Uint8Array> = {};
afterAll(() => cleanup.disposeAsync());

const LONG_AGO = 1_500_000_000;

beforeAll(async () => {
  dir = cleanup.use(tempDir());
  store = cleanup.use(await scratchStore());
  const home = cleanup.use(new GpgHome());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { quiet: true }));
  const image = makeNoiseImage(dir.at('image'), 'v1', [1000]);
  digest = image.manifest.digest as Digest;
  for (const name of ['app:v1', 'app:v2', 'team/app:v1'])
    await push(`oci:${image.name}`, `docker://${registry.host}/${name}`);
  await makeKeys(home);
  await makeSignatures(home);
});

async function makeKeys(home: GpgHome): Promise<void> {
  await home.key('alice', 'ed25519', 'never', LONG_AGO);
  await home.key('bob');
  await home.key('rita', 'rsa2048');
  await home.key('olga', 'ed25519', '2d', LONG_AGO);
  await home.key('rosa');
  await home.key('sue');
  const [sue = ''] = await home.fingerprints('sue');
  await home.gpg(['--quick-add-key', sue, 'ed25519', 'sign', 'never']);
  for (const name of ['alice', 'bob', 'rita', 'olga', 'sue']) rings[name] = await home.keyring([name]);
  rings['both'] = await home.keyring(['alice', 'bob']);
  rings['armoured'] = await home.keyring(['alice'], true);
  rings['bob armoured'] = await home.keyring(['bob'], true);
  rings['armoured twice'] = dir.at('twice.asc');
  const armoured = readFileSync(rings['armoured'], 'utf8');
  writeFileSync(
    dir.at('twice.asc'),
    `A note of the operator.\n\n${readFileSync(rings['bob armoured'], 'utf8')}${armoured}`,
  );
  writeFileSync(dir.at('garbage'), 'no keys at all\n');
  writeFileSync(dir.at('empty'), '');
}

async function makeSignatures(home: GpgHome): Promise<void> {
  const [host] = [registry.host];
  const good = payload(digest, `${host}/app:v1`);
  const by = async (name: string, who: string, text: string, ...more: string[]) => {
    blobs[name] = await home.sign([who], text, more.length > 0 ? more : ['--sign']);
  };
  await by('good', 'alice', good);
  await by('by bob', 'bob', good);
  await by('rsa', 'rita', good);
  await by('uncompressed', 'alice', good, '--compress-algo', 'none', '--sign');
  await by('zlib', 'alice', good, '--compress-algo', 'zlib', '--sign');
  await by('sha512', 'alice', good, '--digest-algo', 'SHA512', '--sign');
  await by('armoured', 'alice', good, '--armor', '--sign');
  await by('clear', 'alice', good, '--clear-sign');
  await by('detached', 'alice', good, '--detach-sign');
  await by('expiring', 'alice', good, '--default-sig-expire', '2d', '--sign');
  await by('by subkey', 'sue', good);
  await by('other tag', 'alice', payload(digest, `${host}/app:v2`));
  await by('other repository', 'alice', payload(digest, `${host}/team/app:v1`));
  await by('other host', 'alice', payload(digest, 'registry.example/app:v1'));
  await by('other digest', 'alice', payload(digestOf('other'), `${host}/app:v1`));
  await by('name only', 'alice', payload(digest, `${host}/app`));
  await by('by digest', 'alice', payload(digest, `${host}/app@${digest}`));
  await by('remapped', 'alice', payload(digest, 'registry.example/mirrored/app:v1'));
  await by('short', 'alice', payload(digest, 'app:v1'));
  await by('no reference', 'alice', payload(digest, 'Not A Reference'));
  await by('empty reference', 'alice', payload(digest, ''));
  await by('extra member', 'alice', payload(digest, `${host}/app:v1`, { more: 1 }));
  await by('optional null', 'alice', payload(digest, `${host}/app:v1`, { optional: null }));
  await by(
    'optional more',
    'alice',
    payload(digest, `${host}/app:v1`, { optional: { any: [1, { thing: null }] } }),
  );
  await by('optional half', 'alice', payload(digest, `${host}/app:v1`, { optional: { timestamp: 1.5 } }));
  await by('optional text', 'alice', payload(digest, `${host}/app:v1`, { optional: { timestamp: '1' } }));
  await by('no optional', 'alice', payload(digest, `${host}/app:v1`, { optional: undefined }));
  await by('cosign type', 'alice', good.replace('atomic container', 'cosign container image'));
  await by('twice', 'alice', good.replace('{"critical"', `{"optional":{},"critical"`));
  await by('critical more', 'alice', good.replace('"type":', '"more":1,"type":'));
  await by('upper digest', 'alice', good.replace(digest, digest.toUpperCase()));
  await by('sha512 digest', 'alice', good.replace(digest, `sha512:${'0'.repeat(128)}`));
  await by('not json', 'alice', 'good');
  await by('more behind', 'alice', `${good}{}`);
  blobs['expired key'] = await home.sign(['olga'], good, ['--sign'], LONG_AGO + 1000);
  blobs['expired'] = await home.sign(
    ['alice'],
    good,
    ['--default-sig-expire', '1d', '--sign'],
    LONG_AGO + 1000,
  );
  await by('revoked', 'rosa', good);
  await home.revoke('rosa');
  rings['rosa'] = await home.keyring(['rosa']);
  blobs['two signers'] = await home.sign(['alice', 'bob'], good);
  const broken = Buffer.from(blobs['uncompressed'] ?? []);
  broken.set([(broken.at(-3) ?? 0) ^ 1], broken.length - 3);
  blobs['broken'] = broken;
  const changed = Buffer.from(blobs['uncompressed'] ?? []);
  changed.write('w1', changed.indexOf(':v1"') + 1);
  blobs['changed'] = changed;
  blobs['cut'] = (blobs['good'] ?? new Uint8Array()).subarray(0, 60);
  blobs['empty'] = new Uint8Array();
  blobs['html'] = Buffer.from('<html>not found</html>');
  blobs['marked'] = Buffer.concat([Buffer.from('\0simple-signing\n'), blobs['good'] ?? Buffer.alloc(0)]);
  blobs['marked sigstore'] = Buffer.from(
    `\0sigstore-json\n{"mimeType":"application/vnd.dev.cosign.simplesigning.v1+json","payload":"","annotations":{}}`,
  );
  blobs['marked unknown'] = Buffer.from('\0pigeon\nmail');
  blobs['two messages'] = Buffer.concat([
    blobs['uncompressed'] ?? Buffer.alloc(0),
    blobs['uncompressed'] ?? Buffer.alloc(0),
  ]);
}

type Json = Record<string, unknown>;
interface Case {
  readonly name: string;
  /** Names of signatures, in their order. */
  readonly signed: readonly string[];
  /** Requirements of the default, or the whole policy. */
  readonly policy: () => readonly Json[] | Json;
  /** After the host; `app:v1` if left out. */
  readonly image?: () => string;
  readonly expected: 'accepted' | 'refused';
  /** Why skopeo decides otherwise. */
  readonly skopeo?: { readonly decides: 'accepted' | 'refused'; readonly because: string };
}

const by = (ring: string, more: Json = {}): Json => ({
  type: 'signedBy',
  keyType: 'GPGKeys',
  keyPath: rings[ring] ?? dir.at(ring),
  ...more,
});
const anything = { type: 'insecureAcceptAnything' };
const identity = (type: string, more: Json = {}) => ({ signedIdentity: { type, ...more } });
const docker = (scopes: Json, standard: Json = { type: 'reject' }): Json => ({
  default: [standard],
  transports: { docker: scopes },
});

/** A signature, and whether a policy for alice's key accepts it. */
const SIGNATURES: readonly (readonly [string, 'accepted' | 'refused'])[] = [
  ['good', 'accepted'],
  ['by bob', 'refused'],
  ['uncompressed', 'accepted'],
  ['zlib', 'accepted'],
  ['sha512', 'accepted'],
  ['armoured', 'refused'],
  ['clear', 'refused'],
  ['detached', 'refused'],
  ['expiring', 'accepted'],
  ['expired', 'refused'],
  ['other tag', 'refused'],
  ['other repository', 'refused'],
  ['other host', 'refused'],
  ['other digest', 'refused'],
  ['name only', 'refused'],
  ['by digest', 'refused'],
  ['no reference', 'refused'],
  ['empty reference', 'refused'],
  ['extra member', 'refused'],
  ['optional null', 'refused'],
  ['optional more', 'accepted'],
  ['optional half', 'refused'],
  ['optional text', 'refused'],
  ['no optional', 'refused'],
  ['cosign type', 'refused'],
  ['twice', 'refused'],
  ['critical more', 'refused'],
  ['upper digest', 'refused'],
  ['sha512 digest', 'refused'],
  ['not json', 'refused'],
  ['more behind', 'refused'],
  ['two signers', 'refused'],
  ['broken', 'refused'],
  ['changed', 'refused'],
  ['cut', 'refused'],
  ['empty', 'refused'],
  ['html', 'refused'],
  ['marked', 'accepted'],
  ['marked sigstore', 'refused'],
  ['marked unknown', 'refused'],
  ['two messages', 'refused'],
];

const CASES: readonly Case[] = [
  ...SIGNATURES.map(
    ([name, expected]): Case => ({ name, signed: [name], policy: () => [by('alice')], expected }),
  ),
  { name: 'no signature', signed: [], policy: () => [by('alice')], expected: 'refused' },
  { name: 'anything without a signature', signed: [], policy: () => [anything], expected: 'accepted' },
  {
    name: 'reject with a signature',
    signed: ['good'],
    policy: () => [{ type: 'reject' }],
    expected: 'refused',
  },
  {
    name: 'reject after anything',
    signed: [],
    policy: () => [anything, { type: 'reject' }],
    expected: 'refused',
  },
  {
    name: 'anything and a key, unsigned',
    signed: [],
    policy: () => [anything, by('alice')],
    expected: 'refused',
  },
  {
    name: 'two keys demanded, one signed',
    signed: ['good'],
    policy: () => [by('alice'), by('bob')],
    expected: 'refused',
  },
  {
    name: 'two keys demanded, both signed',
    signed: ['good', 'by bob'],
    policy: () => [by('alice'), by('bob')],
    expected: 'accepted',
  },
  {
    name: 'the second signature',
    signed: ['by bob', 'good'],
    policy: () => [by('alice')],
    expected: 'accepted',
  },
  { name: 'good behind garbage', signed: ['html', 'good'], policy: () => [by('alice')], expected: 'refused' },
  {
    name: 'good behind another format',
    signed: ['marked sigstore', 'good'],
    policy: () => [by('alice')],
    expected: 'accepted',
  },
  { name: 'a ring of two', signed: ['by bob'], policy: () => [by('both')], expected: 'accepted' },
  { name: 'RSA', signed: ['rsa'], policy: () => [by('rita')], expected: 'accepted' },
  {
    name: 'a subkey',
    signed: ['by subkey'],
    policy: () => [by('sue')],
    expected: 'accepted',
    skopeo: {
      decides: 'refused',
      because: 'versions before 1.12 do not look for the primary key of a subkey',
    },
  },
  { name: 'an expired key', signed: ['expired key'], policy: () => [by('olga')], expected: 'refused' },
  { name: 'a revoked key', signed: ['revoked'], policy: () => [by('rosa')], expected: 'refused' },
  { name: 'an armoured ring', signed: ['good'], policy: () => [by('armoured')], expected: 'accepted' },
  {
    name: 'armoured rings with a note',
    signed: ['good'],
    policy: () => [by('armoured twice')],
    expected: 'accepted',
  },
  { name: 'a ring in the policy', signed: ['good'], policy: () => [ringData('alice')], expected: 'accepted' },
  {
    name: 'an armoured ring in the policy',
    signed: ['good'],
    policy: () => [ringData('armoured')],
    expected: 'accepted',
  },
  {
    name: 'several rings',
    signed: ['good'],
    policy: () => [ringPaths('bob', 'alice')],
    expected: 'accepted',
  },
  { name: 'a ring of garbage', signed: ['good'], policy: () => [by('garbage')], expected: 'refused' },
  { name: 'an empty ring', signed: ['good'], policy: () => [by('empty')], expected: 'refused' },
  { name: 'a missing ring', signed: ['good'], policy: () => [by('nowhere')], expected: 'refused' },
  {
    name: 'a missing ring of another scope',
    signed: ['good'],
    policy: () => docker({ 'registry.example': [by('nowhere')] }, by('alice')),
    expected: 'refused',
    skopeo: { decides: 'accepted', because: 'graft looks at all keys before it judges anything' },
  },
  {
    name: 'matchExact, equal',
    signed: ['good'],
    policy: () => [by('alice', identity('matchExact'))],
    expected: 'accepted',
  },
  {
    name: 'matchExact, other tag',
    signed: ['other tag'],
    policy: () => [by('alice', identity('matchExact'))],
    expected: 'refused',
  },
  {
    name: 'matchExact by digest',
    signed: ['good'],
    image: () => `app@${digest}`,
    policy: () => [by('alice', identity('matchExact'))],
    expected: 'refused',
  },
  {
    name: 'matchExact, both by digest',
    signed: ['by digest'],
    image: () => `app@${digest}`,
    policy: () => [by('alice', identity('matchExact'))],
    expected: 'accepted',
  },
  {
    name: 'by digest, a tag signed',
    signed: ['other tag'],
    image: () => `app@${digest}`,
    policy: () => [by('alice')],
    expected: 'accepted',
  },
  {
    name: 'by digest, other repository signed',
    signed: ['other repository'],
    image: () => `app@${digest}`,
    policy: () => [by('alice')],
    expected: 'refused',
  },
  {
    name: 'by digest, name only signed',
    signed: ['name only'],
    image: () => `app@${digest}`,
    policy: () => [by('alice')],
    expected: 'refused',
  },
  {
    name: 'matchRepository, other tag',
    signed: ['other tag'],
    policy: () => [by('alice', identity('matchRepository'))],
    expected: 'accepted',
  },
  {
    name: 'matchRepository, name only',
    signed: ['name only'],
    policy: () => [by('alice', identity('matchRepository'))],
    expected: 'accepted',
  },
  {
    name: 'matchRepository, other one',
    signed: ['other repository'],
    policy: () => [by('alice', identity('matchRepository'))],
    expected: 'refused',
  },
  {
    name: 'exactReference',
    signed: ['other host'],
    policy: () => [by('alice', exact('registry.example/app:v1'))],
    expected: 'accepted',
  },
  {
    name: 'exactReference, other one',
    signed: ['good'],
    policy: () => [by('alice', exact('registry.example/app:v1'))],
    expected: 'refused',
  },
  {
    name: 'exactReference, short name',
    signed: ['short'],
    policy: () => [by('alice', exact('docker.io/library/app:v1'))],
    expected: 'accepted',
  },
  {
    name: 'exactReference without a tag',
    signed: ['name only'],
    policy: () => [by('alice', exact('registry.example/app'))],
    expected: 'refused',
  },
  {
    name: 'exactRepository',
    signed: ['other host'],
    policy: () => [by('alice', identity('exactRepository', { dockerRepository: 'registry.example/app' }))],
    expected: 'accepted',
  },
  {
    name: 'exactRepository, other one',
    signed: ['good'],
    policy: () => [by('alice', identity('exactRepository', { dockerRepository: 'registry.example/app' }))],
    expected: 'refused',
  },
  {
    name: 'remapIdentity',
    signed: ['remapped'],
    policy: () => [by('alice', remap(registry.host, 'registry.example/mirrored'))],
    expected: 'accepted',
  },
  {
    name: 'remapIdentity, whole name',
    signed: ['remapped'],
    policy: () => [by('alice', remap(`${registry.host}/app`, 'registry.example/mirrored/app'))],
    expected: 'accepted',
  },
  {
    name: 'remapIdentity, half a name',
    signed: ['remapped'],
    policy: () => [by('alice', remap(`${registry.host}/ap`, 'registry.example/mirrored/ap'))],
    expected: 'refused',
  },
  {
    name: 'remapIdentity, another prefix',
    signed: ['good'],
    policy: () => [by('alice', remap('registry.example', 'other.example'))],
    expected: 'accepted',
  },
  {
    name: 'scope: host',
    signed: ['good'],
    policy: () => docker({ [registry.host]: [by('alice')] }),
    expected: 'accepted',
  },
  {
    name: 'scope: repository before host',
    signed: [],
    policy: () => docker({ [registry.host]: [{ type: 'reject' }], [`${registry.host}/app`]: [anything] }),
    expected: 'accepted',
  },
  {
    name: 'scope: tag before repository',
    signed: [],
    policy: () =>
      docker({ [`${registry.host}/app`]: [anything], [`${registry.host}/app:v1`]: [{ type: 'reject' }] }),
    expected: 'refused',
  },
  {
    name: 'scope: digest',
    signed: [],
    image: () => `app@${digest}`,
    policy: () => docker({ [`${registry.host}/app@${digest}`]: [anything] }),
    expected: 'accepted',
  },
  {
    name: 'scope: the tag of a digest',
    signed: [],
    image: () => `app@${digest}`,
    policy: () => docker({ [`${registry.host}/app:v1`]: [anything] }),
    expected: 'refused',
  },
  {
    name: 'scope: half a name',
    signed: [],
    policy: () => docker({ [`${registry.host}/ap`]: [anything] }),
    expected: 'refused',
  },
  {
    name: 'scope: namespace',
    signed: [],
    image: () => 'team/app:v1',
    policy: () => docker({ [`${registry.host}/team`]: [anything] }),
    expected: 'accepted',
  },
  {
    name: 'scope: wildcard',
    signed: [],
    policy: () => docker({ '*.0.0.1': [anything] }),
    expected: 'accepted',
  },
  {
    name: 'scope: wildcard of the whole name',
    signed: [],
    policy: () => docker({ '*.127.0.0.1': [anything] }),
    expected: 'refused',
  },
  {
    name: 'scope: the transport',
    signed: [],
    policy: () => docker({ '': [anything] }),
    expected: 'accepted',
  },
  {
    name: 'scope: another transport',
    signed: [],
    policy: () => ({ default: [{ type: 'reject' }], transports: { dir: { '': [anything] } } }),
    expected: 'refused',
  },
  {
    name: 'an unknown key',
    signed: [],
    policy: () => ({ default: [anything], more: 1 }),
    expected: 'refused',
  },
  {
    name: 'an unknown requirement',
    signed: [],
    policy: () => [{ type: 'acceptAnything' }],
    expected: 'refused',
  },
  {
    name: 'an unknown key of a requirement',
    signed: [],
    policy: () => [{ ...anything, more: 1 }],
    expected: 'refused',
  },
  { name: 'an empty list', signed: [], policy: () => [], expected: 'refused' },
  {
    name: 'no default',
    signed: [],
    policy: () => ({ transports: { docker: { '': [anything] } } }),
    expected: 'refused',
  },
  {
    name: 'two sources of keys',
    signed: ['good'],
    policy: () => [{ ...by('alice'), ...ringData('alice') }],
    expected: 'refused',
  },
  {
    name: 'an unknown transport',
    signed: [],
    policy: () => ({ default: [anything], transports: { dockr: {} } }),
    expected: 'refused',
    skopeo: {
      decides: 'accepted',
      because: 'graft takes a transport that no program has for a slip of the pen',
    },
  },
];

const exact = (dockerReference: string) => identity('exactReference', { dockerReference });
const remap = (prefix: string, signedPrefix: string) => identity('remapIdentity', { prefix, signedPrefix });
function ringData(ring: string): Json {
  return {
    type: 'signedBy',
    keyType: 'GPGKeys',
    keyData: readFileSync(rings[ring] ?? '').toString('base64'),
  };
}
function ringPaths(...names: string[]): Json {
  return { type: 'signedBy', keyType: 'GPGKeys', keyPaths: names.map((name) => rings[name]) };
}

/** The files of a case: a policy, and a directory of registries.d that leads to its signatures. */
function prepare(
  at: number,
  { policy, signed, image }: Case,
): { policy: string; registriesD: string; reference: string } {
  const base = dir.at(`case-${at}`);
  const name = image?.() ?? 'app:v1';
  const repository = name.replace(/[:@].*$/, '');
  const place = `${base}/lookaside/${repository}@${digest.replace(':', '=')}`;
  mkdirSync(place, { recursive: true });
  for (const [index, blob] of signed.entries())
    writeFileSync(`${place}/signature-${index + 1}`, blobs[blob] ?? '');
  mkdirSync(`${base}/registries.d`);
  writeFileSync(
    `${base}/registries.d/a.yaml`,
    JSON.stringify({ 'default-docker': { lookaside: `file://${base}/lookaside` } }),
  );
  const given = policy();
  writeFileSync(`${base}/policy.json`, JSON.stringify(Array.isArray(given) ? { default: given } : given));
  return {
    policy: `${base}/policy.json`,
    registriesD: `${base}/registries.d`,
    reference: `docker://${registry.host}/${name}`,
  };
}

async function graftDecides({ policy, registriesD, reference }: ReturnType<typeof prepare>): Promise<string> {
  try {
    const guard = new Guard({
      settings: {
        policy,
        registriesD,
        acceptUnverifiedLayers: [],
        identities: new Map(),
        unnamedBundles: [],
      },
      reference: parseImageReference(reference),
      store: store.store,
      atRefusal: 'throw',
      path: process.env['PATH'] ?? '',
      registries: async () => defaultPolicy,
      repository: async () => undefined,
      parseYaml: async (_, text) => Bun.YAML.parse(text),
      log: new RecordingLog(),
    });
    await guard.admit({ digest, indexes: [] }, NEVER);
    return 'accepted';
  } catch (error) {
    if (isPluginError(error, 'TRUST_REFUSED') || isPluginError(error, 'CONFIG_INVALID')) return 'refused';
    throw error;
  }
}

async function skopeoDecides({
  policy,
  registriesD,
  reference,
}: ReturnType<typeof prepare>): Promise<string> {
  const target = `dir:${dir.at('copied')}`;
  const options = ['--policy', policy, '--registries.d', registriesD];
  const copied = await run('skopeo', [
    ...options,
    'copy',
    '--quiet',
    '--remove-signatures',
    '--src-tls-verify=false',
    reference,
    target,
  ]);
  return copied.code === 0 ? 'accepted' : 'refused';
}

describe('graft and skopeo', () => {
  test('have at least 60 cases in common', () => {
    expect(CASES.filter(({ skopeo }) => skopeo === undefined).length).toBeGreaterThanOrEqual(60);
  });

  test.each(CASES.map((one, at) => ({ ...one, at })))('$name: $expected', async (one) => {
    const files = prepare(one.at, one);
    const decided = await Promise.all([graftDecides(files), skopeoDecides(files)]);
    expect(decided).toEqual([one.expected, one.skopeo?.decides ?? one.expected]);
  });
});
