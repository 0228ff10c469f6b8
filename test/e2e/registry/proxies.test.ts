/** A cell that reaches the world through a proxy only: in a network where nothing else leads out. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { connect, type Netns, netns } from '../../support/programs/netns.ts';
import { startServer } from '../../support/programs/server.ts';
import { issue, makeAuthority, type Pair } from '../../support/registries/certificates.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const REGISTRY = '203.0.113.10';
const PROXY = '10.99.0.1';
const CELL = '10.99.0.2';
const HOSTS = [`${REGISTRY} registry.test`, `${PROXY} proxy.test near.test`];
const PASSWORD = 'pr0xy-S3CRET';
/** As people write what their password holds. */
const ENCODED = PASSWORD.replace('-', '%2D');
const LOGIN = `cell:${ENCODED}`;

let dir: TempDir;
let cell: Cell;
let world: Netns;
let inside: Netns;
let authority: Pair;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  const pair = await issue(dir.path, authority, 'server', ['DNS:registry.test', 'DNS:near.test']);
  world = cleanup.use(await netns([REGISTRY], HOSTS));
  // The cell knows the proxy's name and not the registry's: looking that up is the proxy's business.
  inside = cleanup.use(await netns([], [`${PROXY} proxy.test near.test`]));
  await connect(world, PROXY, inside, CELL);
  const image = makeNoiseImage(dir.at('image'), 'v1', [300_000, 100_000]);
  const local = await startRegistry(dir.at('registry'));
  await push(`oci:${image.name}`, `docker://${local.host}/app:v1`);
  await local.stop();
  await registryAt(`${REGISTRY}:443`, pair);
  await registryAt(`${REGISTRY}:80`);
  await registryAt(`${PROXY}:443`, pair);
  await tinyproxy(8888, '');
  await tinyproxy(8889, `BasicAuth cell ${PASSWORD}`);
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  cell.settings({
    hosts: { 'registry.test': { ca: [authority.certificate] }, 'near.test': { ca: [authority.certificate] } },
  });
});

async function registryAt(address: string, tls?: Pair): Promise<void> {
  const elsewhere = { address, enter: world.enter };
  cleanup.use(
    await startRegistry(dir.at('registry'), tls === undefined ? { elsewhere } : { elsewhere, tls }),
  );
}

async function tinyproxy(port: number, more: string): Promise<void> {
  const at = dir.at(`proxy-${port}`);
  mkdirSync(at);
  const settings = [
    `Listen ${PROXY}`,
    `Port ${port}`,
    'Timeout 60',
    'LogLevel Connect',
    `LogFile "${at}/log"`,
  ];
  writeFileSync(
    `${at}/conf`,
    `${[...settings, 'ConnectPort 443', `PidFile "${at}/pid"`, more].join('\n')}\n`,
  );
  const command = [...world.enter, 'tinyproxy', '-d', '-c', `${at}/conf`];
  cleanup.use(await startServer(command, { cwd: at, ports: [], files: [`${at}/pid`] }));
}

const proxyLog = (port: number) => readFileSync(dir.at(`proxy-${port}/log`), 'utf8');
const pull = (image: string, env: Record<string, string>, flags: string[] = []) =>
  cell.pull(image, flags, { before: inside.enter, env });
const IMAGE = 'docker://registry.test/app:v1';

test('without the proxy nothing leads to the registry', async () => {
  const ran = await pull(IMAGE, {});
  expect([ran.code, ran.stdout]).toEqual([
    1,
    expect.stringContaining('cannot reach the registry registry.test'),
  ]);
});

describe('HTTPS_PROXY', () => {
  test.each(['HTTPS_PROXY', 'https_proxy'])('leads to it by CONNECT, name and all: %s', async (name) => {
    const before = proxyLog(8888).length;
    const ran = await pull(IMAGE, { [name]: 'http://proxy.test:8888' });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect(proxyLog(8888).slice(before)).toContain('CONNECT registry.test:443');
  });

  test('may be given without a scheme', async () => {
    expect((await pull(IMAGE, { HTTPS_PROXY: 'proxy.test:8888' })).code).toBe(0);
  });

  test('is not for what speaks plain HTTP', async () => {
    const ran = await pull('docker://registry.test:80/app:v1', { HTTPS_PROXY: 'http://proxy.test:8888' }, [
      '--insecure-registry',
      'registry.test:80',
    ]);
    expect(ran.code).toBe(1);
  });
});

test('HTTP_PROXY leads to what speaks plain HTTP', async () => {
  const env = { HTTP_PROXY: 'http://proxy.test:8888' };
  const ran = await pull('docker://registry.test:80/app:v1', env, [
    '--insecure-registry',
    'registry.test:80',
  ]);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
});

test('a push goes through the proxy too, with its uploads in parts and without', async () => {
  const image = makeNoiseImage(dir.at('pushed'), 'v1', [5_000_000, 1000]);
  const before = proxyLog(8889).length;
  const env = { HTTPS_PROXY: `http://${LOGIN}@proxy.test:8889` };
  const call = { before: inside.enter, env };
  const alone = await cell.graft(['push', image.url, 'docker://registry.test/pushed:v1'], {
    before: inside.enter,
  });
  expect([alone.code, alone.stdout]).toEqual([1, expect.stringContaining('registry.test')]);
  const ran = await cell.graft(['push', image.url, 'docker://registry.test/pushed:v1'], call);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('3 of 3 blobs sent')]);
  expect(proxyLog(8889).slice(before)).toContain('CONNECT registry.test:443');
  const plain = [
    'push',
    '--insecure-registry',
    'registry.test:80',
    image.url,
    'docker://registry.test:80/plain:v1',
  ];
  const again = await cell.graft(plain, {
    before: inside.enter,
    env: { HTTP_PROXY: 'http://proxy.test:8888' },
  });
  expect([again.code, again.stdout]).toEqual([
    0,
    expect.stringContaining('docker://registry.test:80/plain:v1@'),
  ]);
});

test('ALL_PROXY leads everywhere', async () => {
  expect((await pull(IMAGE, { ALL_PROXY: 'http://proxy.test:8888' })).code).toBe(0);
});

describe('a proxy that wants a login', () => {
  test('gets it, percent-decoded', async () => {
    const ran = await pull(IMAGE, { HTTPS_PROXY: `http://${LOGIN}@proxy.test:8889` });
    expect(ran.code).toBe(0);
  });

  test('and gets none, or a wrong one, is named in the sentence without it', async () => {
    for (const userinfo of ['', 'cell:WR0NG@']) {
      const ran = await pull(IMAGE, { HTTPS_PROXY: `http://${userinfo}proxy.test:8889` });
      expect(ran.code).toBe(1);
      expect(ran.stdout).toStartWith('the proxy proxy.test:8889 does not connect to registry.test: ');
      expect(`${ran.stdout}${ran.stderr}`).not.toContain('WR0NG');
    }
  });

  test('is never seen with it in log or output', async () => {
    const ran = await pull(IMAGE, { HTTPS_PROXY: `http://${LOGIN}@proxy.test:8889` });
    for (const secret of [PASSWORD, ENCODED, Buffer.from(`cell:${PASSWORD}`).toString('base64')])
      expect(`${ran.stdout}${ran.stderr}`).not.toContain(secret);
  });
});

describe('NO_PROXY', () => {
  const proxied = { HTTPS_PROXY: 'http://proxy.test:8888' };
  test.each([
    ['near.test', true],
    ['.test', true],
    ['test', true],
    ['*', true],
    ['other.example, near.test:443', true],
    ['near.test:5000', false],
    ['far.test', false],
  ])('%s: dialled directly %p', async (no, direct) => {
    const before = proxyLog(8888).length;
    const ran = await pull('docker://near.test/app:v1', { ...proxied, NO_PROXY: no });
    expect(ran.code).toBe(0);
    expect(proxyLog(8888).slice(before).includes('CONNECT near.test:443')).toBe(!direct);
  });

  test('that names the registry leaves nothing to reach it by', async () => {
    expect((await pull(IMAGE, { ...proxied, NO_PROXY: 'registry.test' })).code).toBe(1);
  });
});

test('the settings go before the environment', async () => {
  const hosts = { 'registry.test': { ca: [authority.certificate] } };
  cell.settings({ hosts, proxy: { https: 'http://proxy.test:8888' } });
  expect((await pull(IMAGE, { HTTPS_PROXY: 'http://proxy.invalid:1', NO_PROXY: '*' })).code).toBe(0);
});

test('a proxy of a kind that is not supported is said to be', async () => {
  const ran = await pull(IMAGE, { HTTPS_PROXY: `socks5://${LOGIN}@proxy.test:1080` });
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('HTTPS_PROXY')]);
  expect(`${ran.stdout}${ran.stderr}`).not.toContain(ENCODED);
});

test('a proxy that is not there is named', async () => {
  const ran = await pull(IMAGE, { HTTPS_PROXY: 'http://proxy.test:1' });
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('through the proxy proxy.test:1')]);
  expect(logged(ran, 'registry-retry').length).toBeGreaterThan(0);
});
