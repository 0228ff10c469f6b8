/** Verdicts: what is let through, what is kept, and what makes a kept one worthless. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { digestOf } from '../../../lib/base/digest.ts';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { defaultPolicy } from '../../../lib/registry/policy/policy.ts';
import { Guard, type GuardOptions } from '../../../lib/trust/guard.ts';
import type { FoundDocuments } from '../../../lib/trust/policy/verdict.ts';
import { NEVER, RecordingLog } from '../../support/registries/registry-client.ts';
import { GpgHome, payload } from '../../support/signatures/gpg-home.ts';
import { type ScratchStore, scratchStore } from '../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let home: GpgHome;
let dir: TempDir;
let scratch: ScratchStore;
let ring: string;
const DIGEST = digestOf('manifest');
const INDEX = digestOf('index');
const APP = 'docker://registry.example/app:v1';
const PATH = process.env['PATH'] ?? '';
const DAY = 24 * 3600 * 1000;
const EXPIRES = Date.UTC(2090, 0, 1);

afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  home = cleanup.use(new GpgHome());
  await home.key('alice');
  await home.key('expiring', 'ed25519', '2090-01-01');
  ring = await home.keyring(['alice']);
});
beforeEach(async () => {
  dir = tempDir();
  scratch = await scratchStore({ uids: [], gids: [] }, dir.path);
  mkdirSync(dir.at('registries.d'));
  writeFileSync(
    dir.at('registries.d/all.yaml'),
    `default-docker:\n  lookaside: file://${dir.at('signatures')}\n`,
  );
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
  await dir.remove();
});

const signedBy = (more: object = {}) => ({ type: 'signedBy', keyType: 'GPGKeys', keyPath: ring, ...more });
const ANYTHING = { type: 'insecureAcceptAnything' };
const REJECT = { type: 'reject' };

function policy(standard: readonly object[], transports: object = {}): void {
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: standard, transports }));
}

async function sign(name = 'alice', digest = DIGEST, reference = 'registry.example/app:v1'): Promise<string> {
  const place = dir.at('signatures', `app@${digest.replace(':', '=')}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(`${place}/signature-1`, await home.sign([name], payload(digest, reference)));
  return place;
}

function guard(reference = APP, changes: Partial<GuardOptions> = {}): Guard {
  const [file, registriesD] = [dir.at('policy.json'), dir.at('registries.d')];
  return new Guard({
    settings: {
      policy: file,
      registriesD,
      acceptUnverifiedLayers: [],
      identities: new Map(),
      unnamedBundles: [],
    },
    reference: parseImageReference(reference),
    store: scratch.store,
    atRefusal: 'throw',
    path: PATH,
    registries: async () => defaultPolicy,
    repository: async () => undefined,
    parseYaml: async (_, text) => Bun.YAML.parse(text),
    log: new RecordingLog(),
    ...changes,
  });
}

const admit = (one: Guard, documents: FoundDocuments = { digest: DIGEST, indexes: [] }) =>
  one.admit(documents, NEVER);

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  );
  return isPluginError(error) ? { code: error.code, ...(error.subject as object) } : error;
}

describe('a verdict', () => {
  test('says which rule gave it and whose signature it was', async () => {
    policy([REJECT], { docker: { 'registry.example': [ANYTHING, signedBy()] } });
    await sign();
    const [fingerprint] = await home.fingerprints('alice');
    expect(await admit(guard())).toEqual({
      policy: dir.at('policy.json'),
      configuration: expect.stringMatching(/^[0-9a-f]{64}$/),
      scope: 'docker registry.example',
      accepted: ['insecureAcceptAnything', `signedBy GPG key ${fingerprint}`],
      signed: [DIGEST],
    });
  });

  test('is kept for this reference and digest, and needs neither signature nor gpgv again', async () => {
    policy([signedBy()]);
    await sign();
    const first = await admit(guard());
    rmSync(dir.at('signatures'), { recursive: true });
    expect(await admit(guard(APP, { path: '' }))).toEqual(first);
    for (const other of ['docker://registry.example/app:v2', `docker://registry.example/app@${DIGEST}`]) {
      expect(guard(other).accepted(DIGEST)).toBeUndefined();
      expect(await errorOf(admit(guard(other)))).toMatchObject({ code: 'TRUST_REFUSED' });
    }
    const index = admit(guard(), { digest: INDEX, indexes: [] });
    expect(await errorOf(index)).toMatchObject({ code: 'TRUST_REFUSED' });
  });

  test.each([
    ['the policy', () => policy([signedBy({ signedIdentity: { type: 'matchExact' } })])],
    ['a file of registries.d', () => writeFileSync(dir.at('registries.d/more.yaml'), 'docker: {}\n')],
    ['a key', () => writeFileSync(dir.at('ring'), '')],
  ])('ends when %s changes', async (_, change) => {
    writeFileSync(dir.at('ring'), await Bun.file(ring).bytes());
    policy([signedBy({ keyPath: dir.at('ring') })]);
    await sign();
    await admit(guard());
    expect(guard().accepted(DIGEST)).toBeDefined();
    change();
    expect(guard().accepted(DIGEST)).toBeUndefined();
  });

  test('ends with the key, whose end gpgv does not tell', async () => {
    policy([signedBy({ keyPath: await home.keyring(['expiring']) })]);
    await sign('expiring');
    const { until = 0 } = await admit(guard());
    expect(Math.abs(until - EXPIRES)).toBeLessThan(2 * DAY);
    expect(guard(APP, { now: () => until - 1 }).accepted(DIGEST)).toBeDefined();
    expect(guard(APP, { now: () => until }).accepted(DIGEST)).toBeUndefined();
  });

  test('ends with the signature', async () => {
    policy([signedBy()]);
    const place = await sign();
    const text = payload(DIGEST, 'registry.example/app:v1');
    const message = await home.sign(['alice'], text, ['--default-sig-expire', '3d', '--sign']);
    writeFileSync(`${place}/signature-1`, message);
    const { until = 0 } = await admit(guard());
    expect(Math.abs(until - Date.now() - 3 * DAY)).toBeLessThan(DAY);
  });

  test('is not kept where it is a refusal', async () => {
    policy([signedBy()]);
    expect(await errorOf(admit(guard()))).toMatchObject({ code: 'TRUST_REFUSED' });
    await sign();
    await admit(guard());
  });

  test('of a damaged record does not count', async () => {
    policy([ANYTHING]);
    await admit(guard());
    const { sources } = scratch.store.layout;
    for (const name of readdirSync(sources)) writeFileSync(`${sources}/${name}`, '{"trusted":{}}');
    expect(guard().accepted(DIGEST)).toBeUndefined();
  });
});

test('a refusal says what was asked, what was found and which file to look at', async () => {
  policy([signedBy()]);
  expect(await errorOf(admit(guard()))).toEqual({
    code: 'TRUST_REFUSED',
    image: APP,
    digest: DIGEST,
    policy: dir.at('policy.json'),
    transport: 'docker',
    scope: 'default',
    demanded: `a GPG signature by a key of ${ring}`,
    found: `no signature is at file://${dir.at('signatures')}/app@${DIGEST.replace(':', '=')}`,
  });
});

test('a refused image passes where it is only looked at, and its verdict is not kept', async () => {
  policy([REJECT]);
  const telling = guard(APP, { atRefusal: 'tell' });
  expect(await admit(telling)).toMatchObject({ accepted: [], refused: { demanded: undefined } });
  expect(telling.accepted(DIGEST)).toMatchObject({ refused: {} });
  expect(guard().accepted(DIGEST)).toBeUndefined();
});

describe('an image of an index', () => {
  test('counts as signed when the index is', async () => {
    policy([signedBy()]);
    await sign('alice', INDEX);
    expect(await admit(guard(), { digest: DIGEST, indexes: [INDEX] })).toMatchObject({ signed: [INDEX] });
  });

  test('counts as signed when it is itself, and an index that another image has does not help', async () => {
    policy([signedBy()]);
    await sign();
    expect(await admit(guard(), { digest: DIGEST, indexes: [INDEX] })).toMatchObject({ signed: [DIGEST] });
    await sign('alice', INDEX);
    const other = { digest: digestOf('other'), indexes: [digestOf('other index')] };
    expect(await errorOf(admit(guard(), other))).toMatchObject({ code: 'TRUST_REFUSED' });
  });
});

test('one digest under two scopes has two verdicts', async () => {
  policy([REJECT], { docker: { 'registry.example/free': [ANYTHING] } });
  await admit(guard('docker://registry.example/free:v1'));
  expect(await errorOf(admit(guard()))).toMatchObject({ code: 'TRUST_REFUSED', scope: 'default' });
});

test('with a tag and a digest the digest chooses the scope, and the tag has to be signed', async () => {
  const both = `${APP}@${DIGEST}`;
  policy([signedBy()], { docker: { 'registry.example/app:v1': [ANYTHING] } });
  expect(await errorOf(admit(guard(both)))).toMatchObject({ code: 'TRUST_REFUSED', scope: 'default' });
  await sign('alice', DIGEST, 'registry.example/app:v2');
  expect(await errorOf(admit(guard(both)))).toMatchObject({ found: expect.stringContaining(':v2') });
  await sign();
  expect(await admit(guard(both))).toMatchObject({ signed: [DIGEST] });
});

describe('images outside a registry', () => {
  const NONE = { digest: undefined, indexes: [] };
  const kinds = () => [
    { reference: '/packages/rootfs.tar', transport: 'tarball', scope: '' },
    { reference: `oci://${dir.at('layouts/one')}:v1`, transport: 'oci', scope: dir.at('layouts') },
    { reference: 'cvmfs:///cvmfs/some.repo/team/app:v1', transport: 'cvmfs', scope: '/cvmfs/some.repo/team' },
  ];

  test('are let through by their own scope, and a signature cannot help them', async () => {
    mkdirSync(dir.at('layouts/one'), { recursive: true });
    for (const { reference, transport, scope } of kinds()) {
      policy([REJECT], { [transport]: { [scope]: [ANYTHING] } });
      expect(await admit(guard(reference), NONE)).toMatchObject({ accepted: ['insecureAcceptAnything'] });
      policy([ANYTHING], { [transport]: { [scope]: [signedBy()] } });
      expect(await errorOf(admit(guard(reference), NONE))).toMatchObject({
        code: 'TRUST_REFUSED',
        found: 'images of this kind have no signatures',
      });
    }
  });

  test('are known by the directory that a link leads to', async () => {
    mkdirSync(dir.at('layouts/one'), { recursive: true });
    mkdirSync(dir.at('other'));
    symlinkSync(dir.at('layouts/one'), dir.at('link'));
    policy([REJECT], { oci: { [dir.at('layouts')]: [ANYTHING], [dir.at('link')]: [REJECT] } });
    const linked = `oci://${dir.at('link')}`;
    await admit(guard(linked), NONE);
    rmSync(dir.at('link'));
    symlinkSync(dir.at('other'), dir.at('link'));
    expect(guard(linked).accepted(undefined)).toBeUndefined();
    expect(await errorOf(admit(guard(linked), NONE))).toMatchObject({
      code: 'TRUST_REFUSED',
      scope: 'default',
    });
  });
});

describe('what cannot be judged is refused', () => {
  test.each([
    ['no policy file', () => rmSync(dir.at('policy.json'), { force: true }), 'CONFIG_MISSING'],
    ['a policy that is not JSON', () => writeFileSync(dir.at('policy.json'), '{'), 'CONFIG_INVALID'],
    [
      'a requirement that this version does not know',
      () => policy([ANYTHING, { type: 'signedBaseLayer' }]),
      'CONFIG_INVALID',
    ],
    [
      'a wrong file of registries.d',
      () => writeFileSync(dir.at('registries.d/x.yaml'), 'dockr: {}'),
      'CONFIG_INVALID',
    ],
    [
      'a ring that does not exist',
      () => policy([ANYTHING], { docker: { 'a.example': [signedBy({ keyPath: '/nowhere' })] } }),
      'CONFIG_INVALID',
    ],
    [
      'a ring with a private key',
      () =>
        policy([
          signedBy({ keyData: Buffer.from('-----BEGIN PGP PRIVATE KEY BLOCK-----').toString('base64') }),
        ]),
      'CONFIG_INVALID',
    ],
  ])('%s', async (_, make, code) => {
    policy([ANYTHING]);
    make();
    expect(await errorOf((async () => admit(guard()))())).toMatchObject({ code });
  });

  test('no gpgv', async () => {
    policy([signedBy()]);
    await sign();
    expect(await errorOf(admit(guard(APP, { path: dir.path })))).toEqual({
      code: 'TRUST_GPGV',
      reason: `it is not in ${dir.path}`,
    });
  });

  test('a place of signatures that is no directory of files', async () => {
    policy([signedBy()]);
    const place = await sign();
    rmSync(`${place}/signature-1`);
    mkdirSync(`${place}/signature-1`);
    expect(await errorOf(admit(guard()))).toMatchObject({
      code: 'TRUST_LOOKASIDE',
      reason: 'it is not a file',
    });
  });
});
