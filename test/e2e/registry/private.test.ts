/**
 * A private image in the store of a cell that strangers share: who gets it without its password, and at what price. The
 * thieves know all digests, and have a registry that says yes to everything.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import type { RunningServer } from '../../support/programs/server.ts';
import { type RawServer, rawServer, whole } from '../../support/registries/raw-server.ts';
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
let thief: RawServer;
let host: string;
let image: NoiseImage;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { htpasswd: LOGIN }));
  // Larger than what may be a thin image, which is looked into.
  image = makeNoiseImage(dir.at('image'), 'v1', [90_000, 80_000]);
  const creds = ['--dest-creds', `${LOGIN.username}:${LOGIN.password}`];
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`, ...creds);
  open = cleanup.use(await startRegistry(`${dir.at('registry')}/open`));
  await push(`oci:${image.name}`, `docker://${open.host}/copy:v1`);
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  const server = `server { listen ${host}; location / { ${pass} } }`;
  front = cleanup.use(await startNginx(dir.at('front'), server, [port]));
  thief = startThief();
  cleanup.defer(() => thief.stop());
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  settings();
});

/** The manifest and the configuration as they are, HEAD is 200 for everything, and no layer at all. */
function startThief(): RawServer {
  return rawServer(async ({ method, target }, answer) => {
    const digest = target.includes('/manifests/') ? image.manifest.digest : (target.split('/').at(-1) ?? '');
    const isLayer = image.layers.some((layer) => layer.digest === digest);
    const size = image.layers.find((layer) => layer.digest === digest)?.size ?? 0;
    const headers = {
      'docker-content-digest': digest,
      'content-type': image.manifest.mediaType,
      ...(method === 'HEAD' && isLayer && { 'content-length': String(size) }),
    };
    if (isLayer) return answer.write(whole(method === 'HEAD' ? 200 : 404, new Uint8Array(), headers));
    const body = digest.startsWith('sha256:') ? blob(digest) : new Uint8Array();
    const full = whole(200, body, headers);
    return answer.write(method === 'HEAD' ? full.subarray(0, full.length - body.length) : full);
  });
}

const blob = (digest: string) =>
  new Uint8Array(readFileSync(`${image.layout}/blobs/sha256/${digest.slice(7)}`));
const settings = (more: RegistriesFile = {}) =>
  cell.settings({ insecure: [host, open.host, thief.host], ...more });
const pinned = (at = `${host}/app`) => `docker://${at}@${image.manifest.digest}`;

async function create(reference: string, flags: readonly string[] = []): Promise<Ran> {
  const id = cell.id();
  const ran = await cell.graft(['create', ...flags, reference, id]);
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

async function pulledBefore(): Promise<void> {
  expect((await cell.pull(pinned(), FLAGS)).code).toBe(0);
  await asked();
}

describe('a private image that is here', () => {
  test('starts for the caller with its password, at one HEAD for the manifest and one for each layer', async () => {
    await pulledBefore();
    expect((await create(pinned(), FLAGS)).code).toBe(0);
    // The registry wants to be told who asks; the second request is the answer to that.
    expect(await asked()).toEqual([
      'HEAD manifests 401',
      'HEAD manifests 200',
      'HEAD blobs 200',
      'HEAD blobs 200',
    ]);
  });

  test.each(['create', 'pull', 'inspect'])(
    'is refused without a password, and with a wrong one: %s',
    async (verb) => {
      await pulledBefore();
      const wrong = ['--username', LOGIN.username, '--password', 'WR0NG'];
      for (const flags of [[], wrong]) {
        const more = verb === 'create' ? [cell.id()] : [];
        const ran = await cell.graft([verb, ...flags, pinned(), ...more]);
        expect([ran.code, ran.stdout.includes('operator')]).toEqual([1, false]);
        expect(ran.stdout).toMatch(/do not have permissions|invalid username\/password/);
      }
      expect((await cell.graft(['list'])).stdout).toBe('Store empty\n');
    },
  );

  test('does not start while its registry is down', async () => {
    await pulledBefore();
    await front.stop();
    try {
      const ran = await create(pinned(), FLAGS);
      expect([ran.code, ran.stdout]).toEqual([
        1,
        expect.stringContaining(`cannot reach the registry ${host}`),
      ]);
    } finally {
      await restartFront();
    }
  });

  test('is everybody’s after one anonymous delivery, and asks nobody then', async () => {
    await pulledBefore();
    expect((await create(pinned())).code).toBe(1);
    expect((await cell.pull(pinned(`${open.host}/copy`))).stdout).toContain('2 of 2 layers fetched');
    await asked();
    expect((await create(pinned(`${open.host}/copy`))).code).toBe(0);
    expect((await create(pinned())).code).toBe(0);
    expect((await create(pinned(`${thief.host}/mine`))).code).toBe(0);
    expect(await asked()).toEqual([]);
  });

  test('is the cell’s where the settings have the password: no request, and for this repository alone', async () => {
    const auths = { [host]: { auth: btoa(`${LOGIN.username}:${LOGIN.password}`) } };
    writeFileSync(dir.at('config.json'), JSON.stringify({ auths }));
    settings({ docker_config: dir.at('config.json') });
    expect((await cell.pull(pinned())).code).toBe(0);
    await asked();
    expect((await create(pinned())).code).toBe(0);
    expect(await asked()).toEqual([]);
    expect((await create(pinned(`${thief.host}/mine`))).code).toBe(1);
  });
});

describe('a digest proves nothing', () => {
  test('in a registry of one’s own that says yes to everything: create, pull', async () => {
    await pulledBefore();
    for (const reference of [pinned(`${thief.host}/mine`), `docker://${thief.host}/mine:v1`]) {
      for (const ran of [await create(reference), await cell.pull(reference)])
        expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('blob unknown')]);
    }
    expect(await asked()).toEqual([]);
    const layers = readdirSync(`${cell.store}/volumes`).filter((name) => !name.includes('.shim'));
    expect(layers.length).toBe(2);
  });

  test('and does not tell whether it is here: inspect', async () => {
    const reference = pinned(`${thief.host}/mine`);
    const before = await cell.graft(['inspect', '--json', reference]);
    await pulledBefore();
    const after = await cell.graft(['inspect', '--json', reference]);
    const layersOf = ({ stdout }: Ran) => JSON.parse(stdout).layers;
    expect(layersOf(after)).toEqual(layersOf(before));
  });

  test('in a mirror of the thief, which gives by digest only', async () => {
    await pulledBefore();
    settings({ hosts: { [host]: { mirrors: [{ location: thief.host, insecure: true }] } } });
    const ran = await create(pinned());
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('do not have permissions')]);
  });

  test.each([
    ['is not there', undefined],
    ['is something else', 'not the layer'],
  ])('in a layout whose blob %s', async (_what, bytes) => {
    await pulledBefore();
    const layout = dir.at(`layout-${bytes?.length ?? 0}`);
    mkdirSync(`${layout}/blobs/sha256`, { recursive: true });
    const copy = (name: string) =>
      writeFileSync(`${layout}/${name}`, readFileSync(`${image.layout}/${name}`));
    copy('index.json');
    copy(`blobs/sha256/${image.manifest.digest.slice(7)}`);
    const { config } = JSON.parse(Buffer.from(blob(image.manifest.digest)).toString());
    copy(`blobs/sha256/${config.digest.slice(7)}`);
    if (bytes !== undefined)
      for (const { digest, size } of image.layers)
        writeFileSync(`${layout}/blobs/sha256/${digest.slice(7)}`, bytes.padEnd(size, '.'));
    const ran = await create(`oci://${layout}`);
    expect(ran.code).toBe(1);
    // The layout that has them delivers them, and is not read again.
    expect((await create(`oci://${image.layout}`)).code).toBe(0);
  });
});

describe('never', () => {
  test('gives what is here to whoever names it', async () => {
    settings({ always_authenticate: 'never' });
    await pulledBefore();
    expect((await create(pinned())).code).toBe(0);
    expect(await asked()).toEqual([]);
  });
});

async function restartFront(): Promise<void> {
  const port = Number(host.split(':')[1]);
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  front = cleanup.use(
    await startNginx(dir.at('front'), `server { listen ${host}; location / { ${pass} } }`, [port]),
  );
}
