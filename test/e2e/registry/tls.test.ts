/** A company's registry with a CA of its own, client certificates, and the sentence that operators know. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync } from 'node:fs';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { netns } from '../../support/programs/netns.ts';
import { issue, makeAuthority, type Pair } from '../../support/registries/certificates.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const INSECURE =
  'This registry is insecure. To pull images from this registry, please use the --insecure-registry option.\n';

let dir: TempDir;
let cell: Cell;
let authority: Pair;
let server: Pair;
let client: Pair;
let registry: TestRegistry;
let image: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  server = await issue(dir.path, authority, 'server', ['IP:127.0.0.1']);
  client = await issue(dir.path, authority, 'client', ['DNS:cell']);
  registry = cleanup.use(await startRegistry(dir.at('registry'), { tls: server }));
  const made = makeNoiseImage(dir.at('image'), 'v1', [50_000]);
  await push(`oci:${made.name}`, `docker://${registry.host}/app:v1`);
  image = `docker://${registry.host}/app:v1`;
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  cell.settings({});
});

/** `certs.d` as Docker and containers have it, for a registry. */
function certsDir(base: string, host: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(`${base}/${host}`, { recursive: true });
  for (const [name, path] of Object.entries(files)) cpSync(path, `${base}/${host}/${name}`);
  return base;
}

describe('an unknown authority', () => {
  test('is GrootFS’s sentence, exactly; how to do better is in the log', async () => {
    for (const verb of [
      ['pull', image],
      ['create', image, cell.id()],
    ]) {
      const ran = await cell.graft(verb);
      expect([ran.code, ran.stdout]).toEqual([1, INSECURE]);
      const advice = logged(ran, 'registry-untrusted')[0]?.['advice'];
      expect(advice).toBe(
        `put the CA of ${registry.host} into /etc/docker/certs.d/${registry.host}/ca.crt, or name it under registries.hosts.ca`,
      );
    }
  });

  test('is known by the settings', async () => {
    cell.settings({ hosts: { [registry.host]: { ca: [authority.certificate] } } });
    expect((await cell.pull(image)).code).toBe(0);
  });

  test('is known by a certs.d directory that the settings name', async () => {
    cell.settings({
      certs_dirs: [certsDir(dir.at('certs'), registry.host, { 'ca.crt': authority.certificate })],
    });
    expect((await cell.pull(image)).code).toBe(0);
  });

  test('is known by ~/.config/containers/certs.d, as podman and skopeo have it', async () => {
    const home = dir.at('home');
    certsDir(`${home}/.config/containers/certs.d`, registry.host, { 'ca.crt': authority.certificate });
    expect((await cell.pull(image, [], { env: { HOME: home } })).code).toBe(0);
    const other = await cell.pull(image);
    expect([other.code, other.stdout]).toEqual([1, INSECURE]);
  });

  test('is known as one of the system’s, by SSL_CERT_FILE and by SSL_CERT_DIR', async () => {
    expect((await cell.pull(image, [], { env: { SSL_CERT_FILE: authority.certificate } })).code).toBe(0);
    const SSL_CERT_DIR = certsDir(dir.at('system'), 'x', { 'company.pem': authority.certificate });
    expect(
      (await cell.pull(image, [], { env: { SSL_CERT_DIR: `${dir.at('none')}:${SSL_CERT_DIR}/x` } })).code,
    ).toBe(0);
  });
});

describe('variables of the runtime that would switch verification off, or widen it,', () => {
  test.each([
    ['NODE_TLS_REJECT_UNAUTHORIZED', () => '0'],
    ['NODE_EXTRA_CA_CERTS', () => authority.certificate],
    ['NODE_USE_SYSTEM_CA', () => '1'],
    ['NODE_OPTIONS', () => '--tls-min-v1.0'],
    ['BUN_CONFIG_VERBOSE_FETCH', () => 'curl'],
  ])('do nothing: %s', async (name, value) => {
    const ran = await cell.pull(image, [], { env: { [name]: value() } });
    expect([ran.code, ran.stdout]).toEqual([1, INSECURE]);
    expect(ran.stderr).not.toContain('[fetch]');
  });
});

describe('an insecure registry', () => {
  test('is reached by exact host and port, by flag, by GrootFS’s file and by the settings', async () => {
    expect((await cell.pull(image, ['--insecure-registry', registry.host])).code).toBe(0);
    cell.settings({ insecure: [registry.host] });
    expect((await cell.pull(image)).code).toBe(0);
    cell.settings({});
    await Bun.write(
      cell.config,
      `store: ${cell.store}\ncreate:\n  insecure_registries:\n  - ${registry.host}\n`,
    );
    expect((await cell.pull(image)).code).toBe(0);
  });

  test.each(['127.0.0.1', `127.0.0.1:443`, 'localhost', '0.0.0.0/0', '*'])(
    'is not what %s names',
    async (name) => {
      const ran = await cell.pull(image, ['--insecure-registry', name]);
      expect([ran.code, ran.stdout]).toEqual([1, INSECURE]);
    },
  );

  test('may speak plain HTTP, and only then is spoken to in it', async () => {
    const plain = await startRegistry(dir.at('plain'));
    await push(`oci:${dir.at('image')}:v1`, `docker://${plain.host}/app:v1`);
    const url = `docker://${plain.host}/app:v1`;
    const refused = await cell.pull(url);
    expect([refused.code, refused.stdout]).toEqual([1, INSECURE]);
    expect(String(logged(refused, 'registry-untrusted')[0]?.['advice'])).toContain('speaks HTTP without TLS');
    expect((await cell.pull(url, ['--insecure-registry', plain.host])).code).toBe(0);
    await plain.stop();
  });
});

describe('a client certificate', () => {
  let strict: TestRegistry;
  let url: string;
  beforeAll(async () => {
    strict = await startRegistry(dir.at('registry'), { tls: { ...server, clientCa: authority.certificate } });
    url = `docker://${strict.host}/app:v1`;
  });
  afterAll(() => strict.stop());

  test('is shown to the registry that the settings give it for', async () => {
    const pair = { client_certificate: client.certificate, client_key: client.key };
    cell.settings({ hosts: { [strict.host]: { ca: [authority.certificate], ...pair } } });
    expect((await cell.pull(url)).code).toBe(0);
  });

  test('is found in certs.d beside the CA', async () => {
    const files = {
      'ca.crt': authority.certificate,
      'client.cert': client.certificate,
      'client.key': client.key,
    };
    cell.settings({ certs_dirs: [certsDir(dir.at('mutual'), strict.host, files)] });
    expect((await cell.pull(url)).code).toBe(0);
  });

  test('that is missing is what the sentence asks for', async () => {
    cell.settings({ hosts: { [strict.host]: { ca: [authority.certificate] } } });
    const ran = await cell.pull(url);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('if it wants a client certificate')]);
  });

  test('of another registry is not shown', async () => {
    const pair = { client_certificate: client.certificate, client_key: client.key };
    cell.settings({
      hosts: { [strict.host]: { ca: [authority.certificate] }, [registry.host]: pair },
    });
    expect((await cell.pull(url)).code).toBe(1);
  });
});

test('without a port, what answers at port 80 does not count for what is wrong at port 443', async () => {
  await using inside = await netns(['203.0.113.10'], ['203.0.113.10 registry.test']);
  const named = await issue(dir.path, authority, 'named', ['DNS:registry.test']);
  const at = (port: number) => ({ elsewhere: { address: `203.0.113.10:${port}`, enter: inside.enter } });
  await using _plain = await startRegistry(dir.at('registry'), at(80));
  const tls = { ...named, clientCa: authority.certificate };
  await using _strict = await startRegistry(dir.at('registry'), { ...at(443), tls });
  cell.settings({ hosts: { 'registry.test': { ca: [authority.certificate] } } });
  const ran = await cell.pull('docker://registry.test/app:v1', [], { before: inside.enter });
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('if it wants a client certificate')]);
});

test('without a word in the settings, certs.d is where containers and Docker keep it', async () => {
  await using inside = await netns(['203.0.113.10'], ['203.0.113.10 registry.test']);
  const named = await issue(dir.path, authority, 'usual', ['DNS:registry.test']);
  const elsewhere = { address: '203.0.113.10:443', enter: inside.enter };
  const tls = { ...named, clientCa: authority.certificate };
  await using _strict = await startRegistry(dir.at('registry'), { elsewhere, tls });
  const pull = () => cell.pull('docker://registry.test/app:v1', [], { before: inside.enter });
  const before = await pull();
  expect([before.code, before.stdout]).toEqual([1, INSECURE]);
  // `ip netns exec` puts this over /etc/containers, which comes with skopeo.
  certsDir(`/etc/netns/${inside.name}/containers/certs.d`, 'registry.test', {
    'ca.crt': authority.certificate,
    'client.cert': client.certificate,
    'client.key': client.key,
  });
  expect((await pull()).code).toBe(0);
});

test.each([
  ['expired', ['IP:127.0.0.1'], { from: '20200101000000Z', to: '20200102000000Z' }, 'it has expired'],
  ['for another name', ['DNS:registry.other'], undefined, 'it names another host'],
])(
  'a certificate that is %s is said to be so, and --insecure-registry is not advised',
  async (name, names, validity, words) => {
    const pair = await issue(dir.path, authority, `bad-${name.replaceAll(' ', '-')}`, names, validity);
    const bad = await startRegistry(dir.at('registry'), { tls: pair });
    cell.settings({ hosts: { [bad.host]: { ca: [authority.certificate] } } });
    const ran = await cell.pull(`docker://${bad.host}/app:v1`);
    await bad.stop();
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(ran.stdout).not.toContain('--insecure-registry');
  },
);

test('a CA file that is none is named in the sentence', async () => {
  await Bun.write(dir.at('not-a-ca.pem'), 'hello');
  cell.settings({ hosts: { [registry.host]: { ca: [dir.at('not-a-ca.pem')] } } });
  const ran = await cell.pull(image);
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(dir.at('not-a-ca.pem'))]);
});
