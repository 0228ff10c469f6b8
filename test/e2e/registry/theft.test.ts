/**
 * Nobody but a registry gets what proves who asks: hosts with addresses of their own, plain HTTP between them, and
 * strace, which sees every byte that is sent to each.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { type Netns, netns } from '../../support/programs/netns.ts';
import { startNginx } from '../../support/programs/nginx.ts';
import { startServer } from '../../support/programs/server.ts';
import { makeAuthority, type Pair } from '../../support/registries/certificates.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const REGISTRY = '203.0.113.10';
const CONTENT = '203.0.113.20';
const MIRROR = '203.0.113.30';
const THIEF = '203.0.113.66';
const METADATA = '169.254.169.254';
const HOSTS = [
  `${REGISTRY} registry.test`,
  `${CONTENT} content.test`,
  `${MIRROR} mirror.test`,
  `${THIEF} thief.test`,
];
const LOGIN = { username: 'operator', password: 'S3CRET-of-the-registry' };
const BASIC = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64');
const IDENTITY = 'IDENTITY-t0ken';
/** Where the registry says that its tokens come from, by the port at which it is asked. */
const REALMS = {
  80: 'http://registry.test/token',
  81: 'http://thief.test/token',
  82: `http://${METADATA}/token`,
};

let dir: TempDir;
let cell: Cell;
let network: Netns;
let authority: Pair;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  network = cleanup.use(await netns([REGISTRY, CONTENT, MIRROR, THIEF, METADATA], HOSTS));
  const image = makeNoiseImage(dir.at('image'), 'v1', [100_000, 50_000]);
  const local = await startRegistry(dir.at('registry'));
  await push(`oci:${image.name}`, `docker://${local.host}/app:v1`);
  await local.stop();
  const enter = network.enter;
  cleanup.use(await startRegistry(dir.at('registry'), { elsewhere: { address: `${CONTENT}:80`, enter } }));
  await startTokens();
  for (const [port, realm] of Object.entries(REALMS)) {
    const token = { realm, service: 'test', issuer: 'test', certificate: authority.certificate };
    const elsewhere = { address: `127.0.0.1:50${port}`, enter };
    cleanup.use(await startRegistry(dir.at('registry'), { elsewhere, token }));
  }
  cleanup.use(await startNginx(dir.at('nginx'), servers(), [], enter));
  cell = cleanup.use(await Cell.make());
});
beforeEach(() => cell.empty());

async function startTokens(): Promise<void> {
  const listen = { hostname: '127.0.0.1', port: 6000 };
  const options = { signer: authority, issuer: 'test', login: LOGIN, identityToken: IDENTITY, listen };
  const script = `${import.meta.dir}/../../support/registries/token-server-main.ts`;
  const command = [...network.enter, process.execPath, script, JSON.stringify(options)];
  cleanup.use(await startServer(command, { cwd: dir.path, ports: [], says: /listening on/ }));
}

/** The registry's blobs are elsewhere; whoever may be asked for tokens has good ones. */
function servers(): string {
  const tokens = 'location /token { proxy_pass http://127.0.0.1:6000; }';
  const registry = Object.keys(REALMS).map(
    (port) => `server { listen ${REGISTRY}:${port}; ${tokens}
      location ~ /blobs/ { error_page 418 = @content; if ($http_authorization ~ Bearer) { return 418; }
        proxy_pass http://127.0.0.1:50${port}; proxy_set_header Host $http_host; }
      location @content { return 307 http://content.test$request_uri?signature=abc; }
      location / { proxy_pass http://127.0.0.1:50${port}; proxy_set_header Host $http_host; } }`,
  );
  return `${registry.join('\n')}
    server { listen ${THIEF}:80; listen ${METADATA}:80; ${tokens} }
    server { listen ${MIRROR}:80;
      location / { add_header WWW-Authenticate 'Basic realm="give"' always; return 401 "who"; } }`;
}

function settings(more: RegistriesFile = {}): void {
  cell.settings({ insecure: [80, 81, 82].map((port) => `registry.test:${port}`), ...more });
}

interface Seen {
  readonly ran: Ran;
  /** What was sent to an address, call by call; to anywhere, files included, without one. */
  sent(address?: string): string[];
  /** Addresses that were dialled. */
  readonly dialled: ReadonlySet<string>;
}

/** Pulls the image from the registry at this port, watched. */
async function watched(port: keyof typeof REALMS, flags: readonly string[]): Promise<Seen> {
  const trace = dir.at('trace');
  const strace = ['strace', '-f', '-qq', '-yy', '-s', '65536', '-e', 'trace=network,write,writev'];
  const before = [...network.enter, ...strace, '-o', trace];
  const ran = await cell.pull(`docker://registry.test:${port}/app:v1`, flags, { before });
  const lines = readFileSync(trace, 'latin1').split('\n');
  const sends = lines.filter((line) => / (sendto|sendmsg|sendmmsg|write|writev)\(/.test(line));
  const connects = lines.flatMap((line) => / connect\(.*inet_addr\("([\d.]+)"\)/.exec(line)?.[1] ?? []);
  const sent = (address?: string) =>
    address === undefined ? sends : sends.filter((line) => line.includes(`->${address}:`));
  return { ran, sent, dialled: new Set(connects) };
}

const PASSWORD = ['--username', LOGIN.username, '--password', LOGIN.password];
/** Nothing in these bytes proves who asks. */
function provesNothing(sent: readonly string[]): void {
  expect(sent.filter((line) => /authorization|cookie|refresh_token/i.test(line))).toEqual([]);
  for (const secret of [LOGIN.password, encodeURIComponent(LOGIN.password), BASIC, IDENTITY])
    expect(sent.filter((line) => line.includes(secret))).toEqual([]);
}
const identityConfig = (): RegistriesFile => {
  const auths = {
    'registry.test:80': { identitytoken: IDENTITY },
    'registry.test:81': { identitytoken: IDENTITY },
  };
  writeFileSync(dir.at('config.json'), JSON.stringify({ auths }));
  return { docker_config: dir.at('config.json') };
};

describe('a content network that the registry leads to', () => {
  test.each([
    ['a password', PASSWORD, false, `Basic ${BASIC}`],
    ['an identity token', [], true, IDENTITY],
  ])('sees nothing of %s, nor of the token that it bought', async (_what, flags, identity, proof) => {
    settings(identity ? identityConfig() : {});
    const { ran, sent } = await watched(80, flags);
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    // The registry did get both, so they could have been seen.
    expect(sent(REGISTRY).filter((line) => line.includes(proof)).length).toBeGreaterThan(0);
    const [, token = ''] = /authorization: Bearer ([^\\]+)/i.exec(sent(REGISTRY).join('\n')) ?? [];
    expect(token.length).toBeGreaterThan(100);
    expect(sent(CONTENT).filter((line) => line.includes('GET /v2/app/blobs/')).length).toBeGreaterThan(2);
    provesNothing(sent(CONTENT));
    const elsewhere = sent().filter((line) => !line.includes(`->${REGISTRY}:`));
    expect(elsewhere.filter((line) => line.includes(token) || line.includes(proof))).toEqual([]);
  });
});

describe('a token server elsewhere', () => {
  test.each([
    ['a password', PASSWORD, false],
    ['an identity token', [], true],
  ])('is asked as nobody, and the sentence says what was kept back: %s', async (_what, flags, identity) => {
    settings(identity ? identityConfig() : {});
    const { ran, sent } = await watched(81, flags);
    const words =
      'the credentials were not sent to its token server thief.test, which is not known to belong to it';
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(sent(THIEF).filter((line) => line.includes('GET /token')).length).toBeGreaterThan(0);
    provesNothing(sent(THIEF));
    const secrets = [LOGIN.password, BASIC, IDENTITY];
    expect(sent().filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual([]);
  });

  test('gets them where the operator lists it', async () => {
    settings({ hosts: { 'registry.test:81': { token_realms: ['thief.test'] } } });
    const { ran, sent } = await watched(81, PASSWORD);
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
    expect(sent(THIEF).filter((line) => line.includes(`Basic ${BASIC}`)).length).toBeGreaterThan(0);
  });

  test('at the metadata service is not even dialled', async () => {
    settings({ hosts: { 'registry.test:82': { token_realms: [METADATA] } } });
    const { ran, sent, dialled } = await watched(82, PASSWORD);
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining(`${METADATA} (its token server), whose address lies further inside`),
    ]);
    expect([...dialled]).toEqual([REGISTRY]);
    provesNothing(sent());
  });
});

test('a mirror that asks for a login gets none of the registry’s', async () => {
  settings({
    hosts: {
      'registry.test:80': { mirrors: [{ location: 'mirror.test:80', insecure: true, trusted: true }] },
    },
  });
  const { ran, sent } = await watched(80, PASSWORD);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
  expect(sent(MIRROR).filter((line) => line.includes('/v2/app/')).length).toBeGreaterThan(0);
  provesNothing(sent(MIRROR));
});
