/**
 * Docker Hub and its mirrors. The Hub itself is played: a network namespace whose hosts file gives its names to
 * docker-registry and a token server, with certificates of the test's CA.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { type Netns, netns } from '../../support/programs/netns.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import { type RunningServer, startServer } from '../../support/programs/server.ts';
import { issue, makeAuthority, type Pair } from '../../support/registries/certificates.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const HUB = '203.0.113.10';
const AUTH = '203.0.113.11';
/** A mirror on the cell's own network. */
const MIRROR = '10.20.30.40';
const HOSTS = [
  `${HUB} registry-1.docker.io`,
  `${AUTH} auth.docker.io`,
  `${MIRROR} mirror.test lying.test gone.test`,
];
const LOGIN = { username: 'me', password: 'S3CRET' };
const BASIC = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64');

let dir: TempDir;
let cell: Cell;
let network: Netns;
let authority: Pair;
let hub: RunningServer;
let image: NoiseImage;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  const names = ['registry-1.docker.io', 'auth.docker.io', 'mirror.test', 'lying.test'];
  const pair = await issue(
    dir.path,
    authority,
    'server',
    names.map((name) => `DNS:${name}`),
  );
  network = cleanup.use(await netns([HUB, AUTH, MIRROR], HOSTS));
  image = makeNoiseImage(dir.at('image'), 'v1', [400_000, 200_000]);
  await fill(dir.at('hub'), 'library/busybox');
  await fill(dir.at('mirrored'), 'hub/library/busybox');
  hub = cleanup.use(await startHub(pair));
  await startMirrors(pair);
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  await emptyLog(dir.at('mirrors'));
});

async function fill(data: string, repository: string): Promise<void> {
  const local = await startRegistry(data);
  await push(`oci:${image.name}`, `docker://${local.host}/${repository}:v1`);
  await local.stop();
}

async function startHub(pair: Pair): Promise<RunningServer> {
  const options = {
    signer: authority,
    issuer: 'hub',
    tls: pair,
    login: undefined,
    listen: { hostname: AUTH, port: 443 },
  };
  const script = `${import.meta.dir}/../../support/registries/token-server-main.ts`;
  const command = [...network.enter, process.execPath, script, JSON.stringify(options)];
  cleanup.use(await startServer(command, { cwd: dir.path, ports: [], says: /listening on/ }));
  return startRegistry(dir.at('hub'), {
    elsewhere: { address: `${HUB}:443`, enter: network.enter },
    tls: pair,
    token: {
      realm: 'https://auth.docker.io/token',
      service: 'registry.docker.io',
      issuer: 'hub',
      certificate: authority.certificate,
    },
  });
}

/** A right mirror at 5000 (docker-registry behind nginx, for its log), and at 5001 one that lies about everything. */
async function startMirrors(pair: Pair): Promise<void> {
  cleanup.use(
    await startRegistry(dir.at('mirrored'), {
      elsewhere: { address: '127.0.0.1:6000', enter: network.enter },
    }),
  );
  mkdirSync(dir.at('lies'));
  writeFileSync(dir.at('lies/lie'), '{"a":"lie"}');
  const tls = `ssl_certificate ${pair.certificate}; ssl_certificate_key ${pair.key};`;
  const servers = `
    server { listen ${MIRROR}:5000 ssl; ${tls}
      location / { proxy_pass http://127.0.0.1:6000; proxy_set_header Host $http_host; } }
    server { listen ${MIRROR}:5001 ssl; ${tls} root ${dir.at('lies')};
      location ~ /blobs/ { proxy_pass http://127.0.0.1:6000; proxy_set_header Range "bytes=1-"; proxy_force_ranges on; }
      location / { try_files /lie =404; } }
    server { listen ${MIRROR}:5002 ssl; ${tls}
      location ~ /(blobs|manifests)/ { return 503 "later"; } }
    server { listen ${MIRROR}:5003 ssl; ${tls}
      location ~ /blobs/${image.layers[0]?.digest} { rewrite ^ /noise break; root ${dir.at('lies')}; }
      location / { proxy_pass http://127.0.0.1:6000; proxy_set_header Host $http_host; } }`;
  cleanup.use(await startNginx(dir.at('mirrors'), servers, [], network.enter));
}

const CA = () => ({ ca: [authority.certificate] });
function settings(more: RegistriesFile['hosts'] = {}, rest: RegistriesFile = {}): void {
  const mirrors = [5000, 5001, 5002, 5003].flatMap((port) => [
    [`mirror.test:${port}`, CA()] as const,
    [`lying.test:${port}`, CA()] as const,
  ]);
  cell.settings({
    ...rest,
    hosts: {
      ...Object.fromEntries(mirrors),
      'auth.docker.io': CA(),
      ...more,
      'docker.io': { ...CA(), ...more['docker.io'] },
    },
  });
}
const pull = (flags: string[] = [], name = 'docker:///busybox:v1') =>
  cell.pull(name, flags, { before: network.enter });
const pinned = () => `docker:///busybox@${image.manifest.digest}`;
const mirrorLog = () => settledLog(dir.at('mirrors'));
const passedOver = (ran: Ran) =>
  logged(ran, 'mirror-passed-over').map(({ mirror, code }) => `${mirror} ${code}`);
const hubRequests = (before: number) =>
  hub
    .output()
    .slice(before)
    .match(/"(GET|HEAD) \/v2\/library\/busybox\/(manifests|blobs)/g) ?? [];

describe('Docker Hub', () => {
  test('is found by its short name, at registry-1.docker.io, with a token of auth.docker.io', async () => {
    settings();
    const ran = await pull();
    expect([ran.code, ran.stdout]).toEqual([
      0,
      expect.stringContaining('docker:///library/busybox:v1@sha256:'),
    ]);
    expect(logged(ran, 'token')).toMatchObject([{ realm: 'auth.docker.io', trust: 'credentials' }]);
  });

  test('that does not know an image says so as GrootFS’s operators know it', async () => {
    settings();
    const ran = await pull([], 'docker:///cfgaren/sorry-not-here');
    expect(ran.code).toBe(1);
    // docker-registry lets everybody with a token look; the real one answers with these very words.
    expect(ran.stdout).toContain('registry-1.docker.io/cfgaren/sorry-not-here');
  });
});

describe('a mirror', () => {
  const through = (...mirrors: { location: string; trusted?: boolean }[]) => ({ 'docker.io': { mirrors } });

  test('gives the content; the tag is resolved by the Hub', async () => {
    settings(through({ location: 'mirror.test:5000/hub' }));
    const before = hub.output().length;
    const ran = await pull();
    expect(ran.code).toBe(0);
    expect((await mirrorLog()).map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      expect.stringMatching(/^GET \/v2\/hub\/library\/busybox\/manifests\/sha256:\w+ 200$/),
      ...[1, 2, 3].map(() =>
        expect.stringMatching(/^GET \/v2\/hub\/library\/busybox\/blobs\/sha256:\w+ 200$/),
      ),
    ]);
    expect(new Set(hubRequests(before))).toEqual(new Set(['"HEAD /v2/library/busybox/manifests']));
  });

  test('that is trusted resolves the tag too; the Hub is not asked', async () => {
    settings(through({ location: 'mirror.test:5000/hub', trusted: true }));
    const before = hub.output().length;
    expect((await pull()).code).toBe(0);
    expect((await mirrorLog())[0]).toStartWith('GET /v2/hub/library/busybox/manifests/v1 200');
    expect(hubRequests(before)).toEqual([]);
  });

  test('never gets the Hub’s credentials', async () => {
    settings(through({ location: 'mirror.test:5000/hub', trusted: true }));
    expect((await pull(['--username', LOGIN.username, '--password', LOGIN.password])).code).toBe(0);
    expect((await mirrorLog()).length).toBeGreaterThan(0);
    for (const line of await mirrorLog()) expect(line).toContain('"-"');
    expect((await mirrorLog()).join('\n')).not.toContain(BASIC);
  });

  test.each([
    ['is not there', 'mirror.test:1', 'REGISTRY_UNREACHABLE'],
    ['has another name in its certificate', 'gone.test:5000/hub', 'REGISTRY_UNTRUSTED'],
    ['does not have the image', 'mirror.test:5000/other', 'REGISTRY_NOT_FOUND'],
    ['is out of order', 'mirror.test:5002', 'REGISTRY_ERROR'],
    ['lies about manifests', 'lying.test:5001', 'IMAGE_DIGEST_MISMATCH'],
  ])('that %s is passed over for the next', async (_what, location, code) => {
    settings(through({ location }, { location: 'mirror.test:5000/hub' }));
    const ran = await pull();
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect(passedOver(ran)[0]).toBe(`${location.split('/')[0]} ${code}`);
  });

  test('that lies about a layer is found out, and the layer comes from the Hub', async () => {
    const layer = image.layers[0];
    const blob = readFileSync(`${image.layout}/blobs/sha256/${layer?.digest.slice(7)}`);
    blob.writeUInt8(blob.readUInt8(blob.length - 20) ^ 1, blob.length - 20);
    writeFileSync(dir.at('lies/noise'), blob);
    settings(through({ location: 'mirror.test:5003/hub' }));
    const ran = await pull();
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect(logged(ran, 'layer-rejected').map(({ digest }) => digest)).toContain(layer?.digest);
  });

  test('that has everything makes a pinned image independent of the Hub', async () => {
    settings(through({ location: 'mirror.test:5000/hub' }));
    const before = hub.output().length;
    expect((await pull([], pinned())).code).toBe(0);
    expect(hubRequests(before)).toEqual([]);
  });

  test('that fails for good leaves the Hub’s own error', async () => {
    settings(through({ location: 'mirror.test:5002' }));
    const ran = await pull([], 'docker:///busybox:none');
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining('in registry-1.docker.io/library/busybox: manifest unknown'),
    ]);
  });
});

describe('registries.conf', () => {
  test('of containers is read, mirrors by digest only among them', async () => {
    writeFileSync(
      dir.at('registries.conf'),
      `unqualified-search-registries = ["docker.io"]
       [[registry]]
       location = "docker.io"
       mirror-by-digest-only = true
       [[registry.mirror]]
       location = "mirror.test:5000/hub"\n`,
    );
    settings({}, { registries_conf: [dir.at('registries.conf')] });
    const before = hub.output().length;
    expect((await pull()).code).toBe(0);
    expect((await mirrorLog()).length).toBe(4);
    expect(new Set(hubRequests(before))).toEqual(new Set(['"HEAD /v2/library/busybox/manifests']));
  });

  test('blocks what it blocks, and the sentence says which file does', async () => {
    writeFileSync(dir.at('blocked.conf'), '[[registry]]\nlocation = "docker.io/library"\nblocked = true\n');
    settings({}, { registries_conf: [dir.at('blocked.conf')] });
    const ran = await pull();
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining(`blocked by ${dir.at('blocked.conf')}`),
    ]);
    expect(logged(ran, 'http')).toEqual([]);
  });

  test('is read from /etc/containers where the settings name no other', async () => {
    // `ip netns exec` puts this over /etc/containers, which comes with skopeo.
    const etc = `/etc/netns/${network.name}/containers`;
    mkdirSync(etc, { recursive: true });
    writeFileSync(`${etc}/registries.conf`, '[[registry]]\nlocation = "docker.io"\nblocked = true\n');
    settings({}, { registries_conf: undefined as never });
    const ran = await pull();
    rmSync(etc, { recursive: true });
    const words = expect.stringContaining('docker.io are blocked by /etc/containers/registries.conf');
    expect([ran.code, ran.stdout]).toEqual([1, words]);
  });
});

test('a pull-through cache of docker-registry is a mirror like any other', async () => {
  const cache = await startRegistry(dir.at('cache'), {
    elsewhere: { address: '127.0.0.1:6001', enter: network.enter },
    proxyOf: 'http://127.0.0.1:6000',
  });
  settings({ 'docker.io': { mirrors: [{ location: '127.0.0.1:6001/hub', insecure: true, trusted: true }] } });
  for (let i = 0; i < 2; i += 1) {
    const before = hub.output().length;
    const ran = await pull();
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect(hubRequests(before)).toEqual([]);
    await cell.empty();
  }
  await cache.stop();
});

describe('where a public registry may lead', () => {
  let front: RunningServer;
  beforeAll(async () => {
    const pair = await issue(dir.path, authority, 'front', ['DNS:registry-1.docker.io', 'DNS:mirror.test']);
    const tls = `ssl_certificate ${pair.certificate}; ssl_certificate_key ${pair.key};`;
    const to = (port: number, target: string) =>
      `server { listen ${HUB}:${port} ssl; ${tls}
         location ~ /blobs/ { return 307 ${target}$request_uri; }
         location / { proxy_pass http://127.0.0.1:6000; proxy_set_header Host $http_host; } }`;
    front = await startNginx(
      dir.at('front'),
      [
        to(7000, 'https://mirror.test:5000'),
        to(7001, 'https://169.254.169.254'),
        to(7002, 'http://registry-1.docker.io:7009'),
        to(7003, `https://${MIRROR}:5000`),
      ].join('\n'),
      [],
      network.enter,
    );
  });
  afterAll(() => front?.stop());

  const leading = (port: number, more: RegistriesFile['hosts'] = {}) => {
    const host = `registry-1.docker.io:${port}`;
    settings({ [host]: { ...CA(), ...more[host] } });
    return pull([], `docker://${host}/hub/library/busybox:v1`);
  };

  test.each([
    [7000, 'mirror.test', 'lies further inside than the registry'],
    [7001, '169.254.169.254', 'lies further inside than the registry'],
    [7002, '', 'it redirects from https to http://registry-1.docker.io:7009'],
    [7003, MIRROR, 'lies further inside than the registry'],
  ])('not inwards, and not out of TLS: %d', async (port, where, words) => {
    const ran = await leading(port);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(ran.stdout).toContain(where);
    expect(await mirrorLog()).toEqual([]);
  });

  test('to a private host that the operator lists', async () => {
    const host = 'registry-1.docker.io:7000';
    const ran = await leading(7000, { [host]: { private_hosts: ['mirror.test:5000'] } });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect((await mirrorLog()).length).toBe(3);
  });
});
