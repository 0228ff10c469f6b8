/** Requirements sigstoreSigned, from the policy to the registry: which signatures are asked for, and which are told of. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type Digest, digestOf, hexOf } from '../../../lib/base/digest.ts';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { RegistrySource } from '../../../lib/image/source/from-registry.ts';
import { platformOf } from '../../../lib/oci/machine.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { RegistryClient } from '../../../lib/registry/client.ts';
import { defaultPolicy, type RegistryRule } from '../../../lib/registry/policy/policy.ts';
import { Guard } from '../../../lib/trust/guard.ts';
import { type TrustFile, trustSettings } from '../../../lib/trust/settings.ts';
import type { AttachedSignature, BundleSignature } from '../../../lib/trust/sigstore/artefact.ts';
import {
  type Blob,
  blobOf,
  contentAnswer,
  descriptor,
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
} from '../../support/registries/fake-registry.ts';
import {
  MemoryCache,
  NEVER,
  RecordingLog,
  registryReference,
  testPolicy,
} from '../../support/registries/registry-client.ts';
import { base64, bundle, keyPem, payloadFor, signAttached, signBy } from '../../support/sigstore/signer.ts';
import { newPair } from '../../support/sigstore/x509.ts';
import { type ScratchStore, scratchStore } from '../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';
import { attachedFixture, bundleFixture, fixture, imageFixture, REPOSITORY } from './sigstore/fixtures.ts';

let dir: TempDir;
let scratch: ScratchStore;
const started: { stop(): Promise<void> | void }[] = [];
beforeEach(async () => {
  dir = tempDir();
  scratch = await scratchStore({ uids: [], gids: [] }, dir.path);
  mkdirSync(dir.at('registries.d'));
  attachments(true);
});
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
  await scratch[Symbol.asyncDispose]();
  await dir.remove();
});

const attachments = (use: boolean) =>
  writeFileSync(dir.at('registries.d/all.yaml'), `default-docker: {use-sigstore-attachments: ${use}}\n`);

/** A repository with signatures, and what was asked of it. */
class Repository {
  readonly #answers = new Map<string, Blob>();
  readonly registry: FakeRegistry;
  fails = false;

  constructor(image = fakeImage([])) {
    this.put(image.manifest.bytes, 'latest');
    this.#answers.set(`blobs/${image.config.digest}`, image.config);
    this.registry = fakeRegistry(image, {
      override: async ({ target, ...request }, answer) => {
        if (!target.startsWith('/v2/app/')) return false;
        const found = this.#answers.get(target.slice('/v2/app/'.length));
        if (this.fails) await answer.write(errorAnswer(403, 'DENIED'));
        else if (found === undefined) await answer.write(errorAnswer(404, 'MANIFEST_UNKNOWN'));
        else await answer.write(contentAnswer({ target, ...request }, found, undefined));
        return true;
      },
    });
    started.push(this.registry);
  }

  get asked(): string[] {
    return this.registry.requests.flatMap(({ target }) =>
      target.startsWith('/v2/app/') ? [target.slice(8)] : [],
    );
  }

  attach(digest: Digest, ...signatures: readonly AttachedSignature[]): void {
    const layers = signatures.map(({ payload, annotations }) => {
      const blob = blobOf(payload, 'application/vnd.dev.cosign.simplesigning.v1+json');
      this.#answers.set(`blobs/${blob.digest}`, blob);
      return { ...descriptor(blob), annotations: Object.fromEntries(annotations) };
    });
    this.#answers.set(`manifests/sha256-${hexOf(digest)}.sig`, manifestOf(layers));
  }

  refer(digest: Digest, ...bundles: readonly BundleSignature[]): void {
    const manifests = bundles.map(({ bytes }) => {
      const blob = blobOf(bytes, BUNDLE);
      const manifest = manifestOf([descriptor(blob)], { artifactType: BUNDLE });
      this.#answers.set(`blobs/${blob.digest}`, blob);
      this.#answers.set(`manifests/${manifest.digest}`, manifest);
      return { ...descriptor(manifest), artifactType: BUNDLE };
    });
    const index = blobOf(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), OCI_INDEX);
    this.#answers.set(`referrers/${digest}`, index);
  }

  put(manifest: Uint8Array, tag?: string): void {
    const blob = blobOf(manifest, OCI_MANIFEST);
    this.#answers.set(`manifests/${tag ?? blob.digest}`, blob);
  }
}

const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

function manifestOf(layers: readonly object[], more: object = {}): Blob {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 };
  return blobOf(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...more }),
    OCI_MANIFEST,
  );
}

const data = (name: string) => fixture(name).toString('base64');
/** The image was signed in another registry, whose name the policy maps to the one of the test. */
const mapped = ({ registry }: Repository) => ({
  signedIdentity: { type: 'remapIdentity', prefix: `${registry.host}/app`, signedPrefix: REPOSITORY },
});
const anyName = { signedIdentity: { type: 'exactRepository', dockerRepository: REPOSITORY } };

function guard(
  of: Repository,
  requirement: object,
  file: TrustFile = {},
  rules: readonly RegistryRule[] = [],
): Guard {
  const required = [{ type: 'sigstoreSigned', ...anyName, ...requirement }];
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: required }));
  const settings = trustSettings({
    policy: dir.at('policy.json'),
    registries_d: dir.at('registries.d'),
    ...file,
  });
  if (settings === undefined) throw new Error('no settings');
  const reference = registryReference(of.registry.image(':v1'));
  const log = new RecordingLog();
  const policy = testPolicy({ insecure: [of.registry.host], rules });
  return new Guard({
    settings,
    reference: parseImageReference(of.registry.image(':v1')),
    store: scratch.store,
    atRefusal: 'throw',
    path: '',
    registries: async () => defaultPolicy,
    repository: async () => {
      const client = new RegistryClient({
        reference,
        credentials: undefined,
        policy,
        cache: new MemoryCache(),
        partials: undefined,
        log,
      });
      started.push({ stop: () => client.close() });
      return { client, name: `${of.registry.host}/app`, log };
    },
    parseYaml: async (_, text) => Bun.YAML.parse(text),
    log,
  });
}

const at = (number: number, indexes: Digest[] = []) => ({ digest: imageFixture(number).digest, indexes });

async function refusal(
  work: Promise<unknown>,
): Promise<{ code: string; found?: unknown; demanded?: unknown }> {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  );
  if (!isPluginError(error)) throw error ?? new Error('it passed');
  return { code: error.code, ...(error.subject as object) };
}

const KEY = { keyData: data('cosign.pub') };
const tag = (number: number) => `manifests/sha256-${hexOf(imageFixture(number).digest)}.sig`;

test('an attached signature lets the image through, with two requests, and then with none', async () => {
  const of = new Repository();
  of.attach(at(1).digest, attachedFixture('cosign2-key'));
  const one = guard(of, KEY);
  expect(await one.admit(at(1), NEVER)).toMatchObject({
    scope: 'default',
    accepted: ['sigstoreSigned default[0].keyData'],
    signed: [at(1).digest],
  });
  expect(of.asked).toEqual([tag(1), expect.stringMatching(/^blobs\//)]);
  expect(await guard(of, KEY).admit(at(1), NEVER)).toMatchObject({ signed: [at(1).digest] });
  expect(of.asked).toHaveLength(2);
});

test('a signature on a mirror counts while the registry cannot be reached, since it is checked like any other', async () => {
  const [of, mirror] = [new Repository(), new Repository()];
  mirror.attach(at(1).digest, attachedFixture('cosign2-key'));
  const prefix = `${of.registry.host}/app`;
  const mirrors = [{ location: `${mirror.registry.host}/app`, insecure: true, pulls: 'all' }] as const;
  const rules = [{ prefix, location: prefix, insecure: true, blocked: false, mirrors, from: 'test' }];
  await of.registry.stop();
  const found = await guard(of, KEY, {}, rules).admit(at(1), NEVER);
  expect(found.signed).toEqual([at(1).digest]);
  expect(mirror.asked).toEqual([tag(1), expect.stringMatching(/^blobs\//)]);
  mirror.attach(at(2).digest, attachedFixture('cosign2-key'));
  expect((await refusal(guard(of, KEY, {}, rules).admit(at(2), NEVER))).found).toContain(
    `layer 1 is refused: it is for the digest "${at(1).digest.slice(0, 20)}`,
  );
});

test('the refusal says what was demanded, and what was found', async () => {
  const of = new Repository();
  expect(await refusal(guard(of, KEY).admit(at(1), NEVER))).toMatchObject({
    code: 'TRUST_REFUSED',
    demanded: 'a Sigstore signature by a key of default[0].keyData',
    found: `${of.registry.host}/app has no signature of it that carries its name (bundles of cosign 3 carry none)`,
  });
  of.attach(at(1).digest, attachedFixture('cosign2-log'), attachedFixture('cosign2-login'));
  const { found } = await refusal(guard(of, KEY).admit(at(1), NEVER));
  expect(found).toContain(`layer 1 is refused: it is for the digest "${at(2).digest.slice(0, 20)}`);
  expect(found).toContain('layer 2 is refused: no trusted key made its signature');
});

test('registries.d decides whether attached signatures are asked for', async () => {
  const of = new Repository();
  of.attach(at(1).digest, attachedFixture('cosign2-key'));
  attachments(false);
  expect((await refusal(guard(of, KEY).admit(at(1), NEVER))).found).toBe(
    'registries.d does not set use-sigstore-attachments for it',
  );
  expect(of.asked).toEqual([]);
});

test('a signed index counts for the image that it names', async () => {
  const of = new Repository();
  of.attach(at(1).digest, attachedFixture('cosign2-key'));
  const instance = digestOf('an instance');
  const found = await guard(of, KEY).admit({ digest: instance, indexes: [at(1).digest] }, NEVER);
  expect(found.signed).toEqual([at(1).digest]);
});

test('a bundle counts where the settings accept it, and is not asked for elsewhere', async () => {
  const of = new Repository();
  of.refer(at(1).digest, bundleFixture('cosign3-key'));
  expect((await refusal(guard(of, KEY).admit(at(1), NEVER))).code).toBe('TRUST_REFUSED');
  expect(of.asked).toEqual([tag(1)]);
  for (const scope of [of.registry.host, `${of.registry.host}/app`, `${of.registry.host}/app:v1`]) {
    const accepting = { accept_unnamed_bundles: [scope] };
    expect((await guard(of, KEY, accepting).admit(at(1), NEVER)).signed).toEqual([at(1).digest]);
  }
  const elsewhere = { accept_unnamed_bundles: [`${of.registry.host}/other`] };
  expect((await refusal(guard(of, KEY, elsewhere).admit(at(1), NEVER))).code).toBe('TRUST_REFUSED');
});

test('bundles alone are asked for where registries.d asks for no attached ones', async () => {
  const of = new Repository();
  of.refer(at(1).digest, bundleFixture('cosign3-key'));
  attachments(false);
  const accepting = { accept_unnamed_bundles: [of.registry.host] };
  expect((await guard(of, KEY, accepting).admit(at(1), NEVER)).signed).toEqual([at(1).digest]);
  expect(of.asked).toEqual([`referrers/${at(1).digest}`, expect.any(String), expect.any(String)]);
  expect((await refusal(guard(of, KEY, accepting).admit(at(2), NEVER))).found).toContain(
    'has no bundle that signs it',
  );
});

test('a bundle over the manifest itself costs the manifest', async () => {
  const of = new Repository();
  const pair = newPair();
  const manifest = fixture('image-1');
  of.put(manifest);
  const document = {
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: {} },
    messageSignature: { signature: base64(signBy(pair.privateKey, manifest)) },
  };
  of.refer(at(1).digest, bundle(document));
  const key = { keyData: base64(keyPem(pair)) };
  const accepting = { accept_unnamed_bundles: [of.registry.host] };
  expect((await guard(of, key, accepting).admit(at(1), NEVER)).signed).toEqual([at(1).digest]);
});

const login = (subjectEmail: string) => ({
  fulcio: { caData: data('fulcio.pem'), oidcIssuer: 'https://login.example', subjectEmail },
  rekorPublicKeyData: data('rekor.pub'),
});
const identity = (uri: string) => [{ issuer: 'https://login.example', uri }];

test('identities of CI systems count by scope, and a change of them judges again', async () => {
  const of = new Repository();
  of.attach(at(3).digest, attachedFixture('cosign2-login'));
  const judged = (identities: NonNullable<TrustFile['identities']>) =>
    guard(of, login('nobody@example.org'), { identities }).admit(at(3), NEVER);
  expect((await refusal(judged({}))).found).toContain('its certificate names "dev@example.org"');
  const right = identity('https://ci.example/ns/*/build.yml@refs/tags/*');
  expect((await judged({ [of.registry.host]: right })).accepted).toEqual([
    'sigstoreSigned https://ci.example/ns/app/build.yml@refs/tags/v1 (https://login.example)',
  ]);
  // The most specific scope counts alone.
  const both = { [of.registry.host]: right, [`${of.registry.host}/app`]: identity('https://ci.example/x') };
  expect((await refusal(judged(both))).demanded).toContain(
    'or an identity of trust.identities, in a transparency log',
  );
  expect((await refusal(judged({ [`${of.registry.host}/other`]: right }))).code).toBe('TRUST_REFUSED');
  expect((await guard(of, login('dev@example.org')).admit(at(3), NEVER)).signed).toEqual([at(3).digest]);
});

test('a certificate of an operator ends, and the verdict with it', async () => {
  const of = new Repository();
  of.attach(at(4).digest, attachedFixture('cosign2-pki'));
  const pki = { pki: { caRootsData: data('pki-root.pem'), subjectEmail: 'dev@example.org' } };
  expect((await guard(of, pki).admit(at(4), NEVER)).until).toBe(Date.parse('2049-01-01T00:00:00Z'));
});

test('the name in the signature is held against the name that was asked for', async () => {
  const of = new Repository();
  of.attach(at(1).digest, attachedFixture('cosign2-key'));
  // cosign writes no tag, so that a rule with the tag refuses.
  expect((await refusal(guard(of, { ...KEY, ...mapped(of) }).admit(at(1), NEVER))).found).toContain(
    `it names '${REPOSITORY}'`,
  );
});

test('a registry that does not say whether there is a signature is an error', async () => {
  const of = new Repository();
  of.fails = true;
  expect((await refusal(guard(of, KEY).admit(at(1), NEVER))).code).toBe('REGISTRY_DENIED');
});

test('a key that cannot be used is a fault of the policy', async () => {
  const of = new Repository();
  const broken = await refusal(guard(of, { keyData: base64('no key') }).admit(at(1), NEVER));
  expect(broken).toMatchObject({
    code: 'CONFIG_INVALID',
    reason: 'keys or certificates cannot be used: default[0].keyData: it has no PEM block',
  });
  expect(of.asked).toEqual([]);
});

test('an image is read in the order manifest, signature, configuration, by the same client', async () => {
  const image = fakeImage([]);
  const pair = newPair();
  const digest = image.manifest.digest as Digest;
  const signed = () => signAttached(payloadFor(digest, `${of.registry.host}/app`), pair.privateKey);
  const of = new Repository(image);
  const key = { keyData: base64(keyPem(pair)), signedIdentity: { type: 'matchRepository' } };
  const resolve = async () => {
    const source = new RegistrySource({
      reference: registryReference(of.registry.image(':latest')),
      platform: platformOf('x64'),
      credentials: undefined,
      policy: testPolicy({ insecure: [of.registry.host] }),
      cache: new MemoryCache(),
      partials: undefined,
      guard: guard(of, key),
      log: new RecordingLog(),
    });
    started.push({ stop: () => source.close() });
    return source.resolve(NEVER);
  };
  expect((await refusal(resolve())).code).toBe('TRUST_REFUSED');
  const signature = `manifests/sha256-${hexOf(digest)}.sig`;
  expect(of.asked).toEqual(['manifests/latest', signature]);
  of.attach(digest, signed());
  expect((await resolve()).manifestDigest).toBe(digest);
  expect(of.asked.slice(2)).toEqual([
    'manifests/latest',
    signature,
    expect.stringMatching(/^blobs\//),
    `blobs/${image.config.digest}`,
  ]);
  // The verdict is kept: the next call asks for no signature.
  await resolve();
  expect(of.asked.slice(6)).toEqual(['manifests/latest', `blobs/${image.config.digest}`]);
});
