/** `graft push` to a real registry, with skopeo as the referee. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { graft } from '../../support/graft.ts';
import { forPlatform, LayoutBuilder, named } from '../../support/images/layout-builder.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { issue, makeAuthority, pemOf } from '../../support/registries/certificates.ts';
import { noise } from '../../support/registries/fake-registry.ts';
import { startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { type TokenServer, tokenServer } from '../../support/registries/token-server.ts';
import { must } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const LOGIN = { username: 'me', password: 'S3CRET' };
const FLAGS = ['--username', LOGIN.username, '--password', LOGIN.password];

let dir: TempDir;
let registry: TestRegistry;
let plain: TestRegistry;
let tokens: TokenServer;
let image: NoiseImage;
let settings: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  const authority = await makeAuthority(dir.path);
  const pair = await issue(dir.path, authority, 'server', ['IP:127.0.0.1']);
  tokens = cleanup.use(tokenServer({ signer: authority, issuer: 'test', login: LOGIN, tls: pemOf(pair) }));
  const token = { realm: tokens.url, service: 'reg', issuer: 'test', certificate: authority.certificate };
  registry = cleanup.use(await startRegistry(dir.at('registry'), { tls: pair, token }));
  plain = cleanup.use(await startRegistry(dir.at('plain'), { htpasswd: LOGIN }));
  // The second layer is sent in a part, the others with the request that completes their upload.
  image = makeNoiseImage(dir.at('image'), 'v1', [100_000, 5_000_000]);
  const host = { ca: [authority.certificate] };
  settings = dir.at('settings.yml');
  const hosts = { [registry.host]: host, [new URL(tokens.url).host]: host };
  writeFileSync(settings, JSON.stringify({ registries: { hosts } }));
});

const push = (args: readonly string[]) => graft(['--extra-config', settings, 'push', ...args]);
/** The methods of the registry's log since a length of it. */
const methods = (from: number) =>
  [
    ...registry
      .output()
      .slice(from)
      .matchAll(/"(HEAD|GET|POST|PUT|PATCH|DELETE) \/v2\/[^"]/g),
  ].map(([, method]) => method);
const skopeo = (...args: string[]) => must('skopeo', args);

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const ran = await push(['--json', ...args]);
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  return JSON.parse(ran.stdout);
}

test('sends an image with a token, byte for byte, and the second time nothing', async () => {
  const target = `docker://${registry.host}/team/app:v1`;
  const args = [...FLAGS, image.url, target];
  expect(await json(args)).toEqual({
    image: target,
    digest: image.manifest.digest,
    mediaType: image.manifest.mediaType,
    blobs: { uploaded: 3, mounted: 0, there: 0, foreign: 0 },
    manifests: { pushed: 1, there: 0 },
    uploadedBytes: expect.any(Number),
  });
  expect(tokens.requests.map(({ scope }) => scope)).toEqual(['repository:team/app:pull,push']);
  const copy = dir.at('copy');
  await skopeo(
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    '--src-creds',
    'me:S3CRET',
    target,
    `oci:${copy}:v1`,
  );
  const blobs = (layout: string) => readdirSync(`${layout}/blobs/sha256`).sort();
  expect(blobs(copy)).toEqual(blobs(image.layout));
  const before = registry.output().length;
  const again = await push(args);
  expect([again.code, again.stdout]).toEqual([0, `${target}@${image.manifest.digest}: all was there\n`]);
  expect(new Set(methods(before))).toEqual(new Set(['HEAD']));
});

test('mounts the blobs of another repository', async () => {
  const mount = ['--mount-from', `${registry.host}/team/app`];
  const { blobs } = await json([...FLAGS, ...mount, image.url, `docker://${registry.host}/team/other`]);
  expect(blobs).toEqual({ uploaded: 0, mounted: 3, there: 0, foreign: 0 });
  expect(tokens.requests.at(-1)?.scope).toBe('repository:team/other:pull,push');
  const elsewhere = await push([
    ...FLAGS,
    '--mount-from',
    'quay.io/team/app',
    image.url,
    `docker://${registry.host}/x`,
  ]);
  expect([elsewhere.code, elsewhere.stdout]).toEqual([1, expect.stringContaining('only one of')]);
});

test('sends an index with all that it lists, with a password and without TLS', async () => {
  const layout = new LayoutBuilder(dir.at('index'));
  const child = (name: string, seed: number) =>
    layout.image([layout.layer(noise(1000, seed))], {}, forPlatform(name));
  const list = layout.index([child('linux/amd64', 1), child('linux/arm64', 2)], named('all'));
  layout.write([list]);
  const target = `${plain.host}/many:all`;
  const { manifests } = await json([
    ...FLAGS,
    '--insecure-registry',
    plain.host,
    layout.url('all'),
    `docker://${target}`,
  ]);
  expect(manifests).toEqual({ pushed: 3, there: 0 });
  const raw = await skopeo(
    'inspect',
    '--raw',
    '--tls-verify=false',
    '--creds',
    'me:S3CRET',
    `docker://${target}`,
  );
  expect(raw).toBe(readFileSync(layout.blobPath(list), 'utf8'));
});

test('refuses a damaged blob before the registry has it', async () => {
  const damaged = makeNoiseImage(dir.at('damaged'), 'v1', [5_100_000]);
  const [layer] = damaged.layers;
  const path = `${damaged.layout}/blobs/${layer?.digest.replace(':', '/')}`;
  const bytes = readFileSync(path);
  bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const target = [damaged.url, `docker://${registry.host}/damaged`];
  const ran = await push([...FLAGS, ...target]);
  expect([ran.code, ran.stdout]).toEqual([
    1,
    expect.stringContaining(`${layer?.digest} is damaged: its bytes have the digest`),
  ]);
  truncateSync(path, 5_000_000);
  const short = await push([...FLAGS, ...target]);
  expect([short.code, short.stdout]).toEqual([1, expect.stringContaining('its file has 5000000 bytes')]);
  const repository = dir.at('registry/data/docker/registry/v2/repositories/damaged');
  expect([existsSync(`${repository}/_manifests`), uploads(repository)]).toEqual([false, []]);
});

/** Uploads with bytes. docker-registry writes the empty state of a hash again after it has dropped an upload. */
function uploads(repository: string): string[] {
  const all = existsSync(`${repository}/_uploads`) ? readdirSync(`${repository}/_uploads`) : [];
  return all.filter((id) => existsSync(`${repository}/_uploads/${id}/data`));
}

test('says what is wrong in one sentence', async () => {
  const target = `docker://${registry.host}/team/app:v1`;
  for (const [args, words] of [
    [[image.url, target], 'give credentials with --username'],
    [['--username', 'me', '--password', 'wrong-S3CRET', image.url, target], 'invalid username/password'],
    [[...FLAGS, `docker://${registry.host}/a`, target], 'only the image of a layout is pushed'],
    [[...FLAGS, image.url, image.url], 'an image is pushed to docker://'],
    [[...FLAGS, `${image.url}x`, target], 'v1x'],
    [[...FLAGS, image.url, `${target}@sha256:${'0'.repeat(64)}`], 'names another image'],
  ] as const) {
    const ran = await push(args);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect([ran.stdout.split('\n').length, ran.stdout.includes('S3CRET')]).toEqual([2, false]);
  }
});
