/** Credentials: where they come from, in which order, and that nobody else ever sees them. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { makeBusyboxImage } from '../../support/images/images.ts';
import { settledLog, startNginx } from '../../support/programs/nginx.ts';
import type { RunningServer } from '../../support/programs/server.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { freePort, type TempDir, tempDir } from '../../support/temp.ts';

const USER = 'operator';
const PASSWORD = 'S3CRET-of-the-registry';
const WRONG = 'WR0NG-password';
const base64 = (user: string, password: string) => Buffer.from(`${user}:${password}`).toString('base64');

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let image: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(
    await startRegistry(dir.at('registry'), { htpasswd: { username: USER, password: PASSWORD } }),
  );
  const made = await makeBusyboxImage(dir.at('image'));
  await push(`oci:${made.name}`, `docker://${registry.host}/app:v1`, '--dest-creds', `${USER}:${PASSWORD}`);
  image = `docker://${registry.host}/app:v1`;
  cell = cleanup.use(await Cell.make());
  cell.settings({ insecure: [registry.host] });
});

/** Where the log says that the credentials came from. */
const from = (ran: Ran) => logged(ran, 'credentials').map((data) => data['from']);
const flags = (password = PASSWORD) => ['--username', USER, '--password', password];
const withUser = (password = PASSWORD) => image.replace('docker://', `docker://${USER}:${password}@`);

function dockerConfig(content: unknown): string {
  writeFileSync(dir.at('config.json'), JSON.stringify(content));
  return dir.at('config.json');
}
function helper(name: string, script: string): void {
  writeFileSync(dir.at(`docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(dir.at(`docker-credential-${name}`), 0o755);
}

function showsNothing(ran: Ran): void {
  for (const secret of [PASSWORD, WRONG, base64(USER, PASSWORD), base64(USER, WRONG)]) {
    expect(ran.stdout).not.toContain(secret);
    expect(ran.stderr).not.toContain(secret);
  }
}

describe('the order of credentials is', () => {
  test('flags', async () => {
    const docker_config = dockerConfig({ auths: { [registry.host]: { auth: base64(USER, WRONG) } } });
    cell.settings({ insecure: [registry.host], docker_config });
    const ran = await cell.pull(withUser(WRONG), flags());
    expect([ran.code, from(ran)]).toEqual([0, ['flags']]);
    showsNothing(ran);
  });

  test('userinfo of the image', async () => {
    const docker_config = dockerConfig({ auths: { [registry.host]: { auth: base64(USER, WRONG) } } });
    cell.settings({ insecure: [registry.host], docker_config });
    const ran = await cell.pull(withUser());
    expect([ran.code, from(ran)]).toEqual([0, ['the image URI']]);
    showsNothing(ran);
  });

  test('a docker configuration named in the settings', async () => {
    helper('wrong', `printf '{"Username":"${USER}","Secret":"${WRONG}"}'`);
    const docker_config = dockerConfig({
      auths: { [registry.host]: { auth: base64(USER, PASSWORD) } },
      credsStore: 'wrong',
    });
    cell.settings({ insecure: [registry.host], docker_config, credential_helpers: { path: dir.path } });
    const ran = await cell.pull(image);
    expect([ran.code, from(ran)]).toEqual([0, [docker_config]]);
    showsNothing(ran);
  });

  test('a helper: of the settings, of the docker configuration, its general store', async () => {
    helper('right', `printf '{"Username":"${USER}","Secret":"${PASSWORD}"}'`);
    const credential_helpers = { path: dir.path };
    const insecure = [registry.host];
    cell.settings({
      insecure,
      credential_helpers,
      hosts: { [registry.host]: { credential_helper: 'right' } },
    });
    const named = await cell.pull(image);
    const byHost = dockerConfig({ credHelpers: { [registry.host]: 'right' }, credsStore: 'none' });
    cell.settings({ insecure, credential_helpers, docker_config: byHost });
    const listed = await cell.pull(image);
    const store = dockerConfig({ auths: { [registry.host]: {} }, credsStore: 'right' });
    cell.settings({ insecure, credential_helpers, docker_config: store });
    const stored = await cell.pull(image);
    for (const ran of [named, listed, stored]) {
      expect([ran.code, from(ran)]).toEqual([0, ['docker-credential-right']]);
      showsNothing(ran);
    }
  });

  test('none at all, which is said', async () => {
    cell.settings({ insecure: [registry.host] });
    const ran = await cell.pull(image);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('does not exist or you do not have permissions to see it');
    expect(ran.stdout).toContain('requested access to the resource is denied');
  });
});

test('a docker configuration in the home directory is not taken unasked', async () => {
  cell.settings({ insecure: [registry.host] });
  const config = JSON.stringify({ auths: { [registry.host]: { auth: base64(USER, PASSWORD) } } });
  await Bun.write(cell.dir.at('home/.docker/config.json'), config);
  expect((await cell.pull(image)).code).toBe(1);
});

test.each(['127.0.0.1', 'x.127.0.0.1', '127.0.0.1:1'])(
  'credentials of %s are not those of the registry',
  async (host) => {
    const docker_config = dockerConfig({ auths: { [host]: { auth: base64(USER, PASSWORD) } } });
    cell.settings({ insecure: [registry.host], docker_config });
    const ran = await cell.pull(image);
    expect([ran.code, from(ran)]).toEqual([1, ['nowhere']]);
  },
);

describe('wrong credentials', () => {
  test.each([
    ['in flags', () => cell.pull(image, flags(WRONG))],
    ['in the image', () => cell.pull(withUser(WRONG))],
  ])('%s end in the sentence that operators know, and are not shown', async (_where, pull) => {
    cell.settings({ insecure: [registry.host] });
    const ran = await pull();
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith('unable to retrieve auth token: invalid username/password');
    expect(ran.stdout.trim().split('\n').length).toBe(1);
    showsNothing(ran);
  });

  test('do not spoil what is right afterwards', async () => {
    cell.settings({ insecure: [registry.host] });
    await cell.empty();
    expect((await cell.pull(image, flags(WRONG))).code).toBe(1);
    expect((await cell.pull(image, flags())).code).toBe(0);
  });
});

describe('a helper that misbehaves', () => {
  test.each([
    ['hangs', 'sleep 600', 'does not answer in 1 s'],
    ['prints without end', `yes ${WRONG}`, 'prints more than 65536 bytes'],
    ['fails', `echo ${WRONG}; exit 3`, 'ends with status 3'],
  ])('and %s is named in the sentence, and stopped', async (_what, script, words) => {
    helper('bad', script);
    cell.settings({
      insecure: [registry.host],
      credential_helpers: { path: dir.path, timeout_ms: script.startsWith('sleep') ? 1000 : 20_000 },
      hosts: { [registry.host]: { credential_helper: 'bad' } },
    });
    const ran = await cell.pull(image);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(ran.stdout).toContain('docker-credential-bad');
    showsNothing(ran);
  });
});

describe('a second host', () => {
  let second: RunningServer;
  let port: number;
  let front: RunningServer;
  let frontPort: number;
  beforeAll(async () => {
    // A content network at an origin of its own, and in front of the registry what redirects blobs to it.
    port = await freePort();
    frontPort = await freePort();
    second = await startNginx(
      dir.at('network'),
      `server { listen 127.0.0.1:${port};
         location / { proxy_pass http://${registry.host}; proxy_set_header Authorization "Basic ${base64(USER, PASSWORD)}"; } }`,
      [port],
    );
    front = await startNginx(
      dir.at('front'),
      `server { listen 127.0.0.1:${frontPort};
         location ~ /blobs/ { return 307 http://127.0.0.1:${port}$request_uri?signature=abc; }
         location / { proxy_pass http://${registry.host}; proxy_set_header Host $http_host; } }`,
      [frontPort],
    );
  });
  afterAll(async () => {
    await front?.stop();
    await second?.stop();
  });

  test('that a registry redirects to gets no credential: strace sees every byte that is sent to it', async () => {
    await cell.empty();
    const host = `127.0.0.1:${frontPort}`;
    cell.settings({ insecure: [host] });
    const trace = dir.at('trace');
    const before = [
      'strace',
      '-f',
      '-qq',
      '-yy',
      '-s',
      '4096',
      '-e',
      'trace=network,write,writev',
      '-o',
      trace,
    ];
    const ran = await cell.pull(`docker://${host}/app:v1`, flags(), { before });
    expect(ran.code).toBe(0);
    const sent = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => / (sendto|sendmsg|write|writev)\(/.test(line));
    const to = (target: number) => sent.filter((line) => line.includes(`->127.0.0.1:${target}]`));
    // The registry did get it, so the trace is one in which it could be seen.
    expect(
      to(frontPort).filter((line) => line.includes(`Authorization: Basic ${base64(USER, PASSWORD)}`)).length,
    ).toBeGreaterThan(0);
    expect(to(port).filter((line) => line.includes('GET /v2/app/blobs/')).length).toBeGreaterThan(0);
    expect(to(port).filter((line) => /authorization|cookie/i.test(line))).toEqual([]);
    const elsewhere = sent.filter((line) => !line.includes(`->127.0.0.1:${frontPort}]`));
    for (const secret of [PASSWORD, base64(USER, PASSWORD)])
      expect(elsewhere.filter((line) => line.includes(secret))).toEqual([]);
    expect((await settledLog(dir.at('network'))).join('\n')).toMatch(/^GET \/v2\/app\/blobs\/\S+ 200 "-"/m);
  });
});

test('children get no credential and no proxy of graft’s environment', async () => {
  helper('env', `env > ${dir.at('seen')}; printf '{"Username":"${USER}","Secret":"${PASSWORD}"}'`);
  cell.settings({
    insecure: [registry.host],
    credential_helpers: { path: dir.path, environment: { AWS_REGION: 'eu-west-1' } },
    hosts: { [registry.host]: { credential_helper: 'env' } },
  });
  const env = { HTTPS_PROXY: `http://me:${WRONG}@proxy.invalid:1`, AWS_SECRET_ACCESS_KEY: WRONG };
  const ran = await cell.pull(image, [], { env });
  expect(ran.code).toBe(0);
  const seen = readFileSync(dir.at('seen'), 'utf8');
  expect(seen).toContain('AWS_REGION=eu-west-1');
  expect(seen).not.toContain(WRONG);
});
