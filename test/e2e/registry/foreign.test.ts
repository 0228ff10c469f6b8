/** Foreign layers: what a manifest says must not make a cell fetch from wherever it likes (CVE-2020-15157). */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { LayoutBuilder, type RawDescriptor } from '../../support/images/layout-builder.ts';
import { tarOf } from '../../support/images/noise-image.ts';
import { type Netns, netns } from '../../support/programs/netns.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import { issue, makeAuthority, type Pair } from '../../support/registries/certificates.ts';
import { startRegistry } from '../../support/registries/registry.ts';
import { Cell } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const REGISTRY = '203.0.113.10';
const OUTSIDE = '203.0.113.20';
const INSIDE = '10.1.2.3';
const NAMES = ['registry.test', 'outside.test', 'inside.test', 'here.test', 'metadata.test'];
const HOSTS = [
  `${REGISTRY} registry.test`,
  `${OUTSIDE} outside.test`,
  `${INSIDE} inside.test`,
  '127.0.0.1 here.test',
  '169.254.169.254 metadata.test',
];
const MEDIA_TYPE = 'application/vnd.docker.image.rootfs.foreign.diff.tar';

let dir: TempDir;
let cell: Cell;
let network: Netns;
let authority: Pair;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  const pair = await issue(
    dir.path,
    authority,
    'server',
    NAMES.map((name) => `DNS:${name}`),
  );
  network = cleanup.use(await netns([REGISTRY, OUTSIDE, INSIDE, '169.254.169.254'], HOSTS));
  const builder = new LayoutBuilder(dir.at('image'));
  const foreign = builder.blob(MEDIA_TYPE, tarOf('foreign', Buffer.from('from elsewhere')));
  await pushAll(builder, foreign);
  const elsewhere = { address: `${REGISTRY}:443`, enter: network.enter };
  cleanup.use(await startRegistry(dir.at('registry'), { elsewhere, tls: pair }));
  const tls = `ssl_certificate ${pair.certificate}; ssl_certificate_key ${pair.key};`;
  const files = `location /layer { alias ${builder.blobPath(foreign)}; }`;
  // One nginx is every other host: which one is meant is a matter of names and addresses.
  const listen = [OUTSIDE, INSIDE, '169.254.169.254', '127.0.0.1'].map((at) => `listen ${at}:443 ssl;`);
  const servers = `
    server { ${listen.join(' ')} ${tls} ${files}
      location /to-outside { return 302 https://outside.test/layer; }
      location /to-metadata { return 302 https://metadata.test/layer; }
      location /login { add_header WWW-Authenticate 'Basic realm="give"' always; return 401 "who"; } }
    server { listen 80; ${files} }`;
  cleanup.use(await startNginx(dir.at('others'), servers, [], network.enter));
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  await emptyLog(dir.at('others'));
});

/** Pushes `app:<name>` for every place that its layer may be said to be at, and `kept:outside` with the layer itself. */
async function pushAll(builder: LayoutBuilder, foreign: RawDescriptor): Promise<void> {
  const local = await startRegistry(dir.at('registry'));
  const blob = async (repository: string, { digest }: RawDescriptor) => {
    const base = `http://${local.host}/v2/${repository}`;
    const started = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(started.headers.get('location') ?? '', base);
    location.searchParams.set('digest', digest);
    await fetch(location, { method: 'PUT', body: readFileSync(builder.blobPath({ digest })) });
  };
  const image = async (repository: string, tag: string, urls: readonly string[]) => {
    const config = builder.config([foreign.digest]);
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const layers = [{ ...foreign, urls }];
    const manifest = builder.json(mediaType, { schemaVersion: 2, mediaType, config, layers });
    await blob(repository, config);
    const put = await fetch(`http://${local.host}/v2/${repository}/manifests/${tag}`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: readFileSync(builder.blobPath(manifest)),
    });
    if (put.status !== 201) throw new Error(`the registry answers ${put.status}: ${await put.text()}`);
  };
  for (const [name, urls] of Object.entries(PLACES)) await image('app', name, urls);
  // As tools do that are told to push what may not be distributed: type and URLs stay.
  await blob('kept', foreign);
  await image('kept', 'outside', PLACES['outside'] ?? []);
  await local.stop();
}

const PLACES: Record<string, string[]> = {
  outside: ['https://outside.test/layer'],
  inside: ['https://inside.test/layer'],
  here: ['https://here.test/layer'],
  metadata: ['https://metadata.test/layer'],
  literal: ['https://169.254.169.254/layer'],
  plain: ['http://outside.test/layer'],
  file: ['file:///etc/passwd'],
  login: ['https://outside.test/login'],
  leading: ['https://outside.test/to-metadata'],
  second: ['https://unlisted.test/layer', 'https://outside.test/none', 'https://inside.test/to-outside'],
};

function pull(name: string, foreign_hosts: string[], repository = 'app') {
  const hosts: RegistriesFile['hosts'] = Object.fromEntries(
    NAMES.map((host) => [host, { ca: [authority.certificate] }]),
  );
  cell.settings({ hosts, foreign_hosts });
  const flags = ['--username', 'me', '--password', 'S3CRET'];
  return cell.pull(`docker://registry.test/${repository}:${name}`, flags, { before: network.enter });
}
const seen = () => settledLog(dir.at('others'));

test.each([
  ['outside', 'outside.test'],
  ['inside', 'inside.test'],
  ['second', 'outside.test,inside.test'],
])('%s: from hosts that the operator lists, without credentials', async (name, listed) => {
  const ran = await pull(name, listed.split(','));
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  for (const line of await seen()) expect(line).toMatch(/ \d{3} "-" /);
  expect((await seen()).at(-1)).toContain('GET /layer 200');
});

test.each([
  ['outside', ''],
  ['outside', 'inside.test'],
  ['outside', 'outside.test:8443'],
  ['outside', 'test'],
  ['plain', 'outside.test'],
  ['file', ''],
  ['literal', 'metadata.test'],
])('%s with %p listed: refused before a byte of anything is downloaded', async (name, listed) => {
  const ran = await pull(name, listed.split(',').filter(Boolean));
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('keeps a layer outside its registry')]);
  expect(await seen()).toEqual([]);
});

test('a foreign layer that was pushed into the registry comes from there, and nobody else is asked', async () => {
  const ran = await pull('outside', [], 'kept');
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  expect(await seen()).toEqual([]);
});

test.each([
  ['here', 'here.test', '127.0.0.1', 'a foreign layer'],
  ['metadata', 'metadata.test', '169.254.169.254', 'a foreign layer'],
  ['literal', '169.254.169.254', '169.254.169.254', 'a foreign layer'],
  ['leading', 'outside.test', '169.254.169.254', 'a redirect'],
])(
  '%s: this machine and the metadata service are no place for layers, listed or not',
  async (name, listed, address, what) => {
    const ran = await pull(name, [listed]);
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining(`(${what}), whose address lies further inside`),
    ]);
    // The log is the operator's; the sentence goes to the tenant, who may know no more than what the image names.
    expect(ran.stderr).toContain(`"address":"${address}"`);
    if (name !== 'literal') expect(ran.stdout).not.toContain(address);
    expect((await seen()).filter((line) => line.includes('GET /layer'))).toEqual([]);
  },
);

test('login: nobody is logged in to', async () => {
  const ran = await pull('login', ['outside.test']);
  expect([ran.code, ran.stdout]).toEqual([
    1,
    expect.stringContaining('wants credentials for a foreign layer'),
  ]);
  expect((await seen()).length).toBe(1);
  expect((await seen())[0]).toContain(' 401 "-" ');
});
