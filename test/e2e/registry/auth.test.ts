/** Logging in to a registry that wants tokens, as Docker Hub, GitLab and Harbor do. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { defaultHost } from '../../../lib/registry/policy/policy.ts';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { issue, makeAuthority, type Pair, pemOf } from '../../support/registries/certificates.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { login, NEVER, readLayer, registrySource } from '../../support/registries/registry-client.ts';
import { type TokenServer, tokenServer } from '../../support/registries/token-server.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const LOGIN = { username: 'me', password: 'S3CRET' };
const IDENTITY = 'IDENTITY-t0ken';
const BASIC = `Basic ${Buffer.from('me:S3CRET').toString('base64')}`;

let dir: TempDir;
let cell: Cell;
let authority: Pair;
let tokens: TokenServer;
let registry: TestRegistry;
let image: string;
let settings: RegistriesFile;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  authority = await makeAuthority(dir.path);
  const pair = await issue(dir.path, authority, 'server', ['IP:127.0.0.1']);
  tokens = cleanup.use(
    tokenServer({
      signer: authority,
      issuer: 'test',
      login: LOGIN,
      identityToken: IDENTITY,
      tls: pemOf(pair),
    }),
  );
  registry = cleanup.use(
    await startRegistry(dir.at('registry'), {
      tls: pair,
      token: {
        realm: tokens.url,
        service: 'test-registry',
        issuer: 'test',
        certificate: authority.certificate,
      },
    }),
  );
  const made = makeNoiseImage(dir.at('image'), 'v1', [1e5, 2e5, 3e5, 4e5, 5e5, 6e5]);
  await push(`oci:${made.name}`, `docker://${registry.host}/team/app:v1`, '--dest-creds', 'me:S3CRET');
  image = `docker://${registry.host}/team/app:v1`;
  cell = cleanup.use(await Cell.make());
  const host = { ca: [authority.certificate] };
  settings = { hosts: { [registry.host]: host, [new URL(tokens.url).host]: host } };
  cell.settings(settings);
});

const flags = (password = LOGIN.password) => ['--username', LOGIN.username, '--password', password];
let before = 0;
beforeEach(async () => {
  await cell.empty();
  before = tokens.requests.length;
  tokens.validFor(300);
});
const asked = () => tokens.requests.slice(before);

/** The registry itself says when a token is too old. */
async function untilRefused(token: string): Promise<void> {
  const tls = { ca: readFileSync(authority.certificate, 'utf8') };
  const headers = { authorization: `Bearer ${token}` };
  const manifest = `https://${registry.host}/v2/team/app/manifests/v1`;
  for (let status = 200; status !== 401; { status } = await fetch(manifest, { headers, tls }))
    await Bun.sleep(50);
}

describe('bearer', () => {
  test('gets one token for manifest, configuration and all layers', async () => {
    const ran = await cell.pull(image, flags());
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/ (\d+) of \1 layers fetched/)]);
    expect(asked()).toEqual([
      { method: 'GET', scope: 'repository:team/app:pull', service: 'test-registry', authorization: BASIC },
    ]);
  });

  test('takes the password from standard input, where no list of processes has it', async () => {
    const words = ['--username', LOGIN.username, '--password-stdin'];
    const ran = await cell.pull(image, words, { stdin: `${LOGIN.password}\n` });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/ (\d+) of \1 layers fetched/)]);
    expect(asked().map(({ authorization }) => authorization)).toEqual([BASIC]);
    for (const [stdin, more, reason] of [
      ['', [], 'standard input is empty'],
      ['a\nb\n', [], 'standard input has more than one line'],
      ['a', ['--password', 'b'], '--password gives another one'],
    ] as const) {
      const refused = await cell.pull(image, [...words, ...more], { stdin });
      expect([refused.code, refused.stdout]).toEqual([1, `--password-stdin cannot be used: ${reason}\n`]);
    }
  });

  test('renews a token that ran out between resolving and reading, once for all layers', async () => {
    // Long enough that resolving is done by then: the registry counts whole seconds.
    tokens.validFor(4);
    const host = { ...defaultHost, ca: [authority.certificate] };
    const source = registrySource(image, {
      credentials: login(LOGIN.username, LOGIN.password),
      policy: { hosts: { [registry.host]: host, [new URL(tokens.url).host]: host } },
    });
    const { layers } = await source.resolve(NEVER);
    expect(asked().length).toBe(1);
    await untilRefused(tokens.last());
    tokens.validFor(300);
    await Promise.all(layers.map((layer) => readLayer(source, layer)));
    await source.close();
    expect(layers.length).toBe(6);
    expect(asked().length).toBe(2);
  });

  test('takes an identity token of a docker configuration, which is posted', async () => {
    writeFileSync(
      dir.at('config.json'),
      JSON.stringify({ auths: { [registry.host]: { identitytoken: IDENTITY } } }),
    );
    cell.settings({ ...settings, docker_config: dir.at('config.json') });
    const ran = await cell.pull(image);
    cell.settings(settings);
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/ (\d+) of \1 layers fetched/)]);
    expect(asked()).toEqual([
      { method: 'POST', scope: 'repository:team/app:pull', service: 'test-registry', authorization: null },
    ]);
    expect(`${ran.stdout}${ran.stderr}`).not.toContain(IDENTITY);
  });

  test('without credentials is refused by the registry, in words that name both possibilities', async () => {
    const ran = await cell.pull(image);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain(
      `${registry.host}/team/app does not exist or you do not have permissions to see it`,
    );
    expect(ran.stdout).toContain('requested access to the resource is denied');
    expect(asked().map(({ authorization }) => authorization)).toEqual([null]);
  });

  test('with a wrong password is refused by the token server, once', async () => {
    const ran = await cell.pull(image, flags('WRONG'));
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith('unable to retrieve auth token: invalid username/password');
    expect(ran.stdout).toContain('incorrect username or password');
    expect(asked().length).toBe(1);
    expect(logged(ran, 'http').filter(({ status }) => status === 401).length).toBe(2);
  });
});
