/** Signatures in the repository of an image: how few requests they cost, what counts as one, and what is an error. */
import { afterEach, expect, test } from 'bun:test';
import { type Digest, digestOf, hexOf } from '../../../../lib/base/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { RegistryClient } from '../../../../lib/registry/client.ts';
import { attachedSignatures, bundleSignatures } from '../../../../lib/trust/find/sigstore-artefacts.ts';
import {
  type Blob,
  blobOf,
  contentAnswer,
  descriptor,
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
} from '../../../support/registries/fake-registry.ts';
import { whole } from '../../../support/registries/raw-server.ts';
import {
  MemoryCache,
  NEVER,
  RecordingLog,
  registryReference,
  rejection,
  testPolicy,
} from '../../../support/registries/registry-client.ts';

const SIMPLE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';
const PREDICATE = 'dev.sigstore.bundle.predicateType';
const SIGN = 'https://sigstore.dev/cosign/sign/v1';

const image = fakeImage([noise(10)]);
const DIGEST = image.manifest.digest as Digest;
const TAG = `sha256-${hexOf(DIGEST)}`;
/** Twelve digits are shown. */
const short = (text: string) => text.slice(0, 'sha256:'.length + 12);

const started: { stop(): Promise<void> | void }[] = [];
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
});

type Answers = Readonly<Record<string, Blob | Uint8Array | ((query: string) => Uint8Array)>>;

/** A repository with an image and these documents, by `manifests/REFERENCE`, `blobs/DIGEST`, `referrers/DIGEST`. */
function registry(answers: Answers): FakeRegistry {
  const made = fakeRegistry(image, {
    override: async (request, answer) => {
      const [path = '', query = ''] = request.target.replace('/v2/app/', '').split('?');
      const found = answers[path];
      if (found === undefined) return false;
      if (typeof found === 'function') await answer.write(found(query));
      else await answer.write('bytes' in found ? contentAnswer(request, found, undefined) : found);
      return true;
    },
  });
  started.push(made);
  return made;
}

function repositoryAt(of: FakeRegistry, log = new RecordingLog()) {
  const client = new RegistryClient({
    reference: registryReference(of.image(':latest')),
    credentials: undefined,
    policy: testPolicy({
      insecure: [of.host],
      retry: { attempts: 1, baseMs: 1, maxMs: 1, random: () => 0.5 },
    }),
    cache: new MemoryCache(),
    partials: undefined,
    log,
  });
  started.push({ stop: () => client.close() });
  return { client, name: `${of.host}/app`, log };
}

const asked = (of: FakeRegistry) =>
  of.requests
    .filter(({ target }) => target.startsWith('/v2/app/'))
    .map(({ method, target }) => `${method} ${target.slice(8)}`);

function manifestOf(layers: readonly object[], more: object = {}): Blob {
  const config = descriptor(blobOf('{}', EMPTY));
  return blobOf(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...more }),
    OCI_MANIFEST,
  );
}
const indexOf = (...entries: readonly object[]) =>
  blobOf(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries }), OCI_INDEX);
const all = (...blobs: readonly Blob[]) =>
  Object.fromEntries(blobs.map((blob) => [`blobs/${blob.digest}`, blob]));

const [one, two] = [blobOf('{"payload":1}', SIMPLE), blobOf('{"payload":2}', SIMPLE)];
const layer = (blob: Blob, annotations: object = { 'dev.cosignproject.cosign/signature': 'AA==' }) => ({
  ...descriptor(blob),
  annotations,
});

test('the old scheme: two requests for a signature, and payloads that are the same are read once', async () => {
  const of = registry({ [`manifests/${TAG}.sig`]: manifestOf([layer(one)]), ...all(one) });
  const found = await attachedSignatures(repositoryAt(of), DIGEST, NEVER);
  expect(asked(of)).toEqual([`GET manifests/${TAG}.sig`, `GET blobs/${one.digest}`]);
  expect(found).toEqual([
    {
      kind: 'attached',
      from: `tag ${short(TAG)}….sig, layer 1`,
      payload: Buffer.from(one.bytes),
      annotations: new Map([['dev.cosignproject.cosign/signature', 'AA==']]),
    },
  ]);
  const several = registry({
    [`manifests/${TAG}.sig`]: manifestOf([layer(one), layer(two), layer(one)]),
    ...all(one, two),
  });
  const three = await attachedSignatures(repositoryAt(several), DIGEST, NEVER);
  expect(three.map(({ payload }) => Buffer.from(payload).toString())).toEqual([
    '{"payload":1}',
    '{"payload":2}',
    '{"payload":1}',
  ]);
  expect(asked(several)).toHaveLength(3);
});

test('the old scheme: other layers and large ones are no signatures', async () => {
  const attestation = { ...layer(two), mediaType: 'application/vnd.dsse.envelope.v1+json' };
  const large = { ...layer(two), size: 70_000 };
  const of = registry({
    [`manifests/${TAG}.sig`]: manifestOf([attestation, layer(one), large]),
    ...all(one),
  });
  const log = new RecordingLog();
  const found = await attachedSignatures(repositoryAt(of, log), DIGEST, NEVER);
  expect(found.map(({ from }) => from)).toEqual([`tag ${short(TAG)}….sig, layer 2`]);
  expect(log.of('signature-too-large')).toHaveLength(1);
});

test('no signature costs one request in the old scheme, and two in the new one', async () => {
  const of = registry({});
  expect(await attachedSignatures(repositoryAt(of), DIGEST, NEVER)).toEqual([]);
  expect(await bundleSignatures(repositoryAt(of), DIGEST, NEVER)).toEqual([]);
  expect(asked(of)).toEqual([`GET manifests/${TAG}.sig`, `GET referrers/${DIGEST}`, `GET manifests/${TAG}`]);
});

const bundle = blobOf('{"bundle":1}', BUNDLE);
const signature = manifestOf([descriptor(bundle)], {
  artifactType: BUNDLE,
  annotations: { [PREDICATE]: SIGN },
});
const attestation = manifestOf([descriptor(bundle)], {
  artifactType: BUNDLE,
  annotations: { [PREDICATE]: 'https://slsa.dev/provenance/v1' },
});
const manifests = (...blobs: readonly Blob[]) =>
  Object.fromEntries(blobs.map((blob) => [`manifests/${blob.digest}`, blob]));
const entry = (blob: Blob, more: object = { artifactType: BUNDLE }) => ({ ...descriptor(blob), ...more });

test('the new scheme: three requests by the list of referrers, four by the tag', async () => {
  const there = { ...manifests(signature), ...all(bundle) };
  const expected = [
    { kind: 'bundle', from: `referrer ${short(signature.digest)}…`, bytes: Buffer.from(bundle.bytes) },
  ];
  const listed = registry({ [`referrers/${DIGEST}`]: indexOf(entry(signature)), ...there });
  expect(await bundleSignatures(repositoryAt(listed), DIGEST, NEVER)).toEqual(expected as never);
  expect(asked(listed)).toEqual([
    `GET referrers/${DIGEST}`,
    `GET manifests/${signature.digest}`,
    `GET blobs/${bundle.digest}`,
  ]);
  // cosign's index names another type for the manifest than the manifest does.
  const tagged = registry({
    [`manifests/${TAG}`]: indexOf(entry(signature, { artifactType: EMPTY })),
    ...there,
  });
  expect(await bundleSignatures(repositoryAt(tagged), DIGEST, NEVER)).toEqual(expected as never);
  expect(asked(tagged)).toEqual([
    `GET referrers/${DIGEST}`,
    `GET manifests/${TAG}`,
    `GET manifests/${signature.digest}`,
    `GET blobs/${bundle.digest}`,
  ]);
});

test('the new scheme: other artifacts are passed over, at the descriptor where it says so, else at the manifest', async () => {
  const sbom = manifestOf([descriptor(bundle)], { artifactType: 'application/spdx+json' });
  const described = { artifactType: BUNDLE, annotations: { [PREDICATE]: 'https://slsa.dev/provenance/v1' } };
  const twice = manifestOf([descriptor(bundle), descriptor(bundle)], { artifactType: BUNDLE });
  const of = registry({
    [`referrers/${DIGEST}`]: indexOf(
      entry(sbom, { artifactType: 'application/spdx+json' }),
      entry(attestation, described),
      entry(attestation),
      entry(sbom, {}),
      entry(twice),
      entry(sbom, { mediaType: 'application/vnd.oci.artifact.manifest.v1+json' }),
      entry(signature, {}),
      entry(signature),
    ),
    ...manifests(signature, sbom, attestation, twice),
    ...all(bundle),
  });
  const found = await bundleSignatures(repositoryAt(of), DIGEST, NEVER);
  expect(found.map(({ from }) => from)).toEqual([`referrer ${short(signature.digest)}…`]);
  expect(asked(of).filter((line) => line.includes('blobs'))).toHaveLength(1);
});

test('the new scheme: a list on several pages, which stay in the repository', async () => {
  const page = (next: string | undefined, ...entries: object[]) =>
    whole(200, JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries }), {
      'content-type': OCI_INDEX,
      ...(next !== undefined && { link: `<${next}>; rel="next"` }),
    });
  const of = registry({
    [`referrers/${DIGEST}`]: (query) =>
      query === 'n=1&last=x'
        ? page(undefined, entry(signature))
        : page('https://elsewhere.example/v2/other/referrers/x?n=1&last=x'),
    ...manifests(signature),
    ...all(bundle),
  });
  expect(await bundleSignatures(repositoryAt(of), DIGEST, NEVER)).toHaveLength(1);
  expect(asked(of).slice(0, 2)).toEqual([`GET referrers/${DIGEST}`, `GET referrers/${DIGEST}?n=1&last=x`]);
  const endless = registry({ [`referrers/${DIGEST}`]: () => page('?again') });
  expect((await rejection(bundleSignatures(repositoryAt(endless), DIGEST, NEVER))).code).toBe(
    'REGISTRY_BAD_RESPONSE',
  );
});

const html = whole(200, '<html>log in</html>', { 'content-type': 'text/html' });

test.each<[string, Answers, string]>([
  ['no access', { [`manifests/${TAG}.sig`]: errorAnswer(403, 'DENIED') }, 'REGISTRY_DENIED'],
  ['an error of the server', { [`manifests/${TAG}.sig`]: errorAnswer(500, 'UNKNOWN') }, 'REGISTRY_ERROR'],
  ['a login page', { [`manifests/${TAG}.sig`]: html }, 'IMAGE_BAD_MANIFEST'],
  ['an index', { [`manifests/${TAG}.sig`]: indexOf() }, 'IMAGE_BAD_MANIFEST'],
  [
    'a manifest that calls itself an index',
    { [`manifests/${TAG}.sig`]: whole(200, manifestOf([]).bytes, { 'content-type': OCI_INDEX }) },
    'IMAGE_BAD_MANIFEST',
  ],
  [
    'a payload that is not there',
    { [`manifests/${TAG}.sig`]: manifestOf([layer(one)]) },
    'REGISTRY_NOT_FOUND',
  ],
  [
    'another payload',
    {
      [`manifests/${TAG}.sig`]: manifestOf([layer(one)]),
      [`blobs/${one.digest}`]: blobOf('{"payload":0}', SIMPLE),
    },
    'IMAGE_DIGEST_MISMATCH',
  ],
  [
    'a payload that is larger than it says',
    { [`manifests/${TAG}.sig`]: manifestOf([{ ...layer(one), size: 3 }]), ...all(one) },
    'REGISTRY_BODY_TOO_LARGE',
  ],
  [
    'too many',
    { [`manifests/${TAG}.sig`]: manifestOf(Array(129).fill(layer(one))) },
    'REGISTRY_BAD_RESPONSE',
  ],
  [
    'a manifest without end',
    {
      [`manifests/${TAG}.sig`]: whole(200, Buffer.alloc(2 ** 22 + 1, ' '), { 'content-type': OCI_MANIFEST }),
    },
    'REGISTRY_BODY_TOO_LARGE',
  ],
])('the old scheme: %s', async (_name, answers, code) => {
  expect((await rejection(attachedSignatures(repositoryAt(registry(answers)), DIGEST, NEVER))).code).toBe(
    code,
  );
});

const many = Array.from({ length: 129 }, (_, n) => entry(blobOf(`${n}`, OCI_MANIFEST)));

test.each<[string, Answers, string]>([
  ['no access', { [`referrers/${DIGEST}`]: errorAnswer(403, 'DENIED') }, 'REGISTRY_DENIED'],
  ['an error of the server', { [`referrers/${DIGEST}`]: errorAnswer(501, 'UNSUPPORTED') }, 'REGISTRY_ERROR'],
  ['a login page', { [`referrers/${DIGEST}`]: html }, 'IMAGE_BAD_MANIFEST'],
  ['a manifest instead of a list', { [`manifests/${TAG}`]: image.manifest }, 'IMAGE_BAD_MANIFEST'],
  ['too many', { [`referrers/${DIGEST}`]: indexOf(...many) }, 'REGISTRY_BAD_RESPONSE'],
  [
    'a manifest that is another one',
    { [`referrers/${DIGEST}`]: indexOf(entry(signature)), [`manifests/${signature.digest}`]: attestation },
    'IMAGE_DIGEST_MISMATCH',
  ],
  [
    'a bundle that is not there',
    { [`referrers/${DIGEST}`]: indexOf(entry(signature)), ...manifests(signature) },
    'REGISTRY_NOT_FOUND',
  ],
])('the new scheme: %s', async (_name, answers, code) => {
  expect((await rejection(bundleSignatures(repositoryAt(registry(answers)), DIGEST, NEVER))).code).toBe(code);
});

test('a manifest that a list names and that has gone is no signature', async () => {
  const gone = digestOf('gone');
  const of = registry({ [`referrers/${DIGEST}`]: indexOf(entry({ ...signature, digest: gone })) });
  expect(await bundleSignatures(repositoryAt(of), DIGEST, NEVER)).toEqual([]);
});
