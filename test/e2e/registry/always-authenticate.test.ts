/** A cell whose operator wants the registry asked each time, whatever is in the store. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import type { RunningServer } from '../../support/programs/server.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell } from '../../support/stores/cell.ts';
import { freePort, type TempDir, tempDir } from '../../support/temp.ts';

const LOGIN = { username: 'operator', password: 'S3CRET' };
const FLAGS = ['--username', LOGIN.username, '--password', LOGIN.password];

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let open: TestRegistry;
let front: RunningServer;
let host: string;
let image: NoiseImage;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { htpasswd: LOGIN }));
  image = makeNoiseImage(dir.at('image'), 'v1', [30_000, 20_000]);
  const creds = ['--dest-creds', `${LOGIN.username}:${LOGIN.password}`];
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`, ...creds);
  // The same content, given to anybody: a mirror.
  open = cleanup.use(await startRegistry(`${dir.at('registry')}/open`));
  await push(`oci:${image.name}`, `docker://${open.host}/app:v1`);
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  front = cleanup.use(
    await startNginx(dir.at('front'), `server { listen ${host}; location / { ${pass} } }`, [port]),
  );
  cell = cleanup.use(await Cell.make());
});
beforeEach(() => cell.empty());

const settings = (always_authenticate: boolean | 'never' | 'private' | 'always', more: RegistriesFile = {}) =>
  cell.settings({ insecure: [host], always_authenticate, ...more });
const pinned = () => `docker://${host}/app@${image.manifest.digest}`;
async function create(flags: readonly string[] = []): Promise<Ran> {
  const id = cell.id();
  const ran = await cell.graft(['create', ...flags, pinned(), id]);
  await cell.graft(['delete', id]);
  return ran;
}
/** `METHOD kind status` of each request for the image since the last look. */
async function asked(): Promise<string[]> {
  const lines = await settledLog(dir.at('front'));
  await emptyLog(dir.at('front'));
  return lines.flatMap((line) => {
    const [, method, kind, status] = /^(\w+) \/v2\/app\/(\w+)\/\S+ (\d+)/.exec(line) ?? [];
    return method === undefined ? [] : [`${method} ${kind} ${status}`];
  });
}
const DENIED = expect.stringContaining('does not exist or you do not have permissions to see it');

test('a pinned image in the store costs a HEAD for itself and each private layer, and is refused to who may not have it', async () => {
  settings(true);
  expect((await cell.pull(pinned(), FLAGS)).code).toBe(0);
  await asked();
  expect((await create(FLAGS)).code).toBe(0);
  // The registry wants to be told who asks; the second one is the answer to that.
  expect(await asked()).toEqual([
    'HEAD manifests 401',
    'HEAD manifests 200',
    'HEAD blobs 200',
    'HEAD blobs 200',
  ]);
  const nobody = await create();
  expect([nobody.code, nobody.stdout]).toEqual([1, DENIED]);
  const wrong = await create(['--username', LOGIN.username, '--password', 'WR0NG']);
  expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining('invalid username/password')]);
  expect((await cell.graft(['list'])).stdout).toBe('Store empty\n');
});

test('without the setting nobody is asked', async () => {
  settings(false);
  expect((await cell.pull(pinned(), FLAGS)).code).toBe(0);
  await asked();
  expect((await create()).code).toBe(0);
  expect(await asked()).toEqual([]);
});

test('a mirror that gives content to anybody does not decide', async () => {
  const mirrors = [{ location: open.host, insecure: true }];
  settings(true, { hosts: { [host]: { mirrors } } });
  const nobody = await cell.pull(pinned());
  expect([nobody.code, nobody.stdout]).toEqual([1, DENIED]);
  await asked();
  const allowed = await cell.pull(pinned(), FLAGS);
  expect([allowed.code, allowed.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);
  expect(await asked()).toEqual(['HEAD manifests 401', 'HEAD manifests 200']);
});

test('a registry that is not there lets nobody in', async () => {
  settings(true);
  expect((await cell.pull(pinned(), FLAGS)).code).toBe(0);
  await front.stop();
  const ran = await create(FLAGS);
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(`cannot reach the registry ${host}`)]);
});
