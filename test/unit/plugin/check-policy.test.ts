/** `check --policy`: containers and cached images that a create would refuse today. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { type Digest, digestOf } from '../../../lib/base/digest.ts';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { checkPolicy, type PolicyFinding } from '../../../lib/plugin/check-policy.ts';
import { defaultPolicy } from '../../../lib/registry/policy/policy.ts';
import { noteUse } from '../../../lib/store/records/cached-images.ts';
import { Guard } from '../../../lib/trust/guard.ts';
import { NEVER, RecordingLog } from '../../support/registries/registry-client.ts';
import { GpgHome, payload } from '../../support/signatures/gpg-home.ts';
import { type ScratchStore, scratchStore } from '../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const MANIFEST = digestOf('manifest');
const INDEX = digestOf('index');
const PINNED = `docker://registry.example/app@${INDEX}`;
const signedBy = () => ({ type: 'signedBy', keyType: 'GPGKeys', keyPath: ring });
const REJECT = { type: 'reject' };
const ANYTHING = { type: 'insecureAcceptAnything' };

const cleanup = new AsyncDisposableStack();
let home: GpgHome;
let ring: string;
let dir: TempDir;
let scratch: ScratchStore;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  home = cleanup.use(new GpgHome());
  await home.key('alice');
  ring = await home.keyring(['alice']);
});
beforeEach(async () => {
  dir = tempDir();
  scratch = await scratchStore({ uids: [], gids: [] }, dir.path);
  mkdirSync(dir.at('registries.d'));
  const lookaside = { 'default-docker': { lookaside: `file://${dir.at('signatures')}` } };
  writeFileSync(dir.at('registries.d/all.yaml'), JSON.stringify(lookaside));
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
  await dir.remove();
});

function policy(standard: object, transports: object = {}): void {
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: [standard], transports }));
}

async function sign(digest: Digest): Promise<string> {
  const place = dir.at('signatures', `app@${digest.replace(':', '=')}`);
  mkdirSync(place, { recursive: true });
  const message = await home.sign(['alice'], payload(digest, 'registry.example/app:v1'));
  writeFileSync(`${place}/signature-1`, message);
  return place;
}

/** Notes an image as a create or a pull of it does. */
function cache(name: string): void {
  noteUse(scratch.store.layout, { name, digest: MANIFEST, uses: [] }, new RecordingLog());
}

const settings = () => ({
  policy: dir.at('policy.json'),
  registriesD: dir.at('registries.d'),
  acceptUnverifiedLayers: [],
  identities: new Map(),
  unnamedBundles: [],
});

const check = () =>
  checkPolicy(
    scratch.store,
    async (image) =>
      new Guard({
        settings: settings(),
        reference: parseImageReference(image),
        store: scratch.store,
        atRefusal: 'throw',
        path: process.env['PATH'] ?? '',
        registries: async () => defaultPolicy,
        repository: async () => undefined,
        parseYaml: async (_, text) => JSON.parse(text),
        log: new RecordingLog(),
      }),
    NEVER,
  );

const finding = (verdict: PolicyFinding['verdict'], code: string): PolicyFinding => ({
  kind: 'image',
  what: PINNED,
  image: PINNED,
  digest: MANIFEST,
  verdict,
  error: expect.objectContaining({ code }),
});

test('a cached image is listed once its signature is gone, and not while its verdict counts', async () => {
  cache(PINNED);
  policy(signedBy());
  const place = await sign(MANIFEST);
  expect(await check()).toEqual([]);
  rmSync(place, { recursive: true });
  expect(await check()).toEqual([]);
  policy({ ...signedBy(), signedIdentity: { type: 'matchRepository' } });
  expect(await check()).toEqual([finding('refused', 'TRUST_REFUSED')]);
});

test('a cached image counts as signed by the index that its reference names', async () => {
  cache(PINNED);
  policy(signedBy());
  await sign(INDEX);
  expect(await check()).toEqual([]);
});

test('a cached image that cannot be judged is unknown', async () => {
  cache(PINNED);
  policy(signedBy());
  const place = await sign(MANIFEST);
  rmSync(`${place}/signature-1`);
  mkdirSync(`${place}/signature-1`);
  expect(await check()).toEqual([finding('unknown', 'TRUST_LOOKASIDE')]);
});

test('of cached images those are listed whose scope refuses them', async () => {
  mkdirSync(dir.at('layout'));
  cache(`oci://${dir.at('layout')}:v1`);
  cache(PINNED);
  policy(REJECT, { docker: { 'registry.example/app': [ANYTHING] } });
  expect(await check()).toEqual([
    expect.objectContaining({ kind: 'image', what: `oci://${dir.at('layout')}:v1`, verdict: 'refused' }),
  ]);
  policy(REJECT, { oci: { [dir.path]: [ANYTHING] } });
  expect(await check()).toEqual([finding('refused', 'TRUST_REFUSED')]);
});
