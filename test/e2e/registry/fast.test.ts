/** How much is asked of a registry for what: warming cells, tags, pinned images, layers in parallel. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import { rawServer, whole } from '../../support/registries/raw-server.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { freePort, type TempDir, tempDir } from '../../support/temp.ts';

const SIZES = [100_000, 110_000, 120_000, 130_000, 140_000, 150_000, 160_000, 170_000];

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let image: NoiseImage;
let host: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry')));
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  cleanup.use(await startNginx(dir.at('front'), `server { listen ${host}; location / { ${pass} } }`, [port]));
  image = makeNoiseImage(dir.at('image'), 'v1', SIZES);
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`);
  cell = cleanup.use(await Cell.make());
  cell.settings({ insecure: [host] });
});
beforeEach(() => emptyLog(dir.at('front')));

const log = async () => (await settledLog(dir.at('front'))).filter((line) => / \/v2\/app\//.test(line));
const requests = async () =>
  (await log()).map((line) =>
    line
      .split(' ')
      .slice(0, 2)
      .join(' ')
      .replace('/v2/app/', '')
      .replace(/sha256:(\w{8})\w+/, '$1'),
  );
const short = ({ digest }: { digest: string }) => digest.slice(7, 15);
const tag = () => `docker://${host}/app:v1`;
const pinned = () => `docker://${host}/app@${image.manifest.digest}`;

/** nginx that takes the digest out of the header, as registries without one answer. */
async function withoutDigests() {
  const port = await freePort();
  const at = `127.0.0.1:${port}`;
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  const hide = 'proxy_hide_header Docker-Content-Digest; proxy_hide_header ETag;';
  const servers = `server { listen ${at}; location / { ${pass} ${hide} } }`;
  const server = await startNginx(dir.at('hiding'), servers, [port]);
  const lines = () => settledLog(dir.at('hiding'));
  const log = async () =>
    (await lines()).flatMap((line) =>
      / \/v2\/app\//.test(line) ? [line.split(' ').slice(0, 3).join(' ')] : [],
    );
  return { host: at, log, [Symbol.asyncDispose]: () => server.stop() };
}

describe('an image', () => {
  beforeEach(() => cell.empty());

  test('that is new costs the manifest, the configuration and each layer once', async () => {
    const ran = await cell.pull(tag());
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('8 of 8 layers fetched')]);
    const config = JSON.parse(
      readFileSync(`${image.layout}/blobs/sha256/${image.manifest.digest.slice(7)}`, 'utf8'),
    ).config;
    expect((await requests()).slice(0, 2)).toEqual(['GET manifests/v1', `GET blobs/${short(config)}`]);
    expect((await requests()).slice(2).sort()).toEqual(
      image.layers.map((layer) => `GET blobs/${short(layer)}`).sort(),
    );
  });

  test('that is there costs a tag one HEAD', async () => {
    await cell.pull(tag());
    await emptyLog(dir.at('front'));
    const ran = await cell.pull(tag());
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('all layers were there')]);
    expect(await requests()).toEqual(['HEAD manifests/v1']);
  });

  test('of a registry that gives no digest costs a tag a GET', async () => {
    await using front = await withoutDigests();
    const there = `docker://${front.host}/app:v1`;
    cell.settings({ insecure: [front.host] });
    const first = await cell.pull(there);
    const before = (await front.log()).length;
    const second = await cell.pull(there);
    cell.settings({ insecure: [host] });
    expect([first.code, first.stdout]).toEqual([0, expect.stringContaining('8 of 8 layers fetched')]);
    expect([second.code, second.stdout]).toEqual([0, expect.stringContaining('all layers were there')]);
    expect((await front.log()).slice(before)).toEqual([
      'HEAD /v2/app/manifests/v1 200',
      'GET /v2/app/manifests/v1 200',
    ]);
  });

  test('that is there and pinned costs nothing: not one system call of the network', async () => {
    await cell.pull(pinned());
    const trace = dir.at('trace');
    const before = ['strace', '-f', '-qq', '-e', 'trace=network', '-o', trace];
    const id = cell.id();
    const ran = await cell.graft(['create', pinned(), id], { before });
    expect(ran.code).toBe(0);
    const sockets = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => /socket\(AF_INET|connect\(/.test(line));
    expect(sockets).toEqual([]);
    await cell.graft(['delete', id]);
  });

  test('that is there and pinned needs no registry at all', async () => {
    await cell.pull(pinned());
    const gone = `docker://${host}/app@${image.manifest.digest}`;
    cell.settings({ insecure: [host], proxy: { http: 'http://127.0.0.1:1', https: 'http://127.0.0.1:1' } });
    const ran = await cell.pull(gone);
    cell.settings({ insecure: [host] });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('all layers were there')]);
  });

  test('that lacks one layer costs that layer', async () => {
    await cell.pull(tag());
    // The next version of an app: its top layer changes, the others stay.
    const changed = makeNoiseImage(dir.at('changed'), 'v2', [...SIZES.slice(0, -1), 999]);
    await push(`oci:${changed.name}`, `docker://${registry.host}/app:v2`);
    await emptyLog(dir.at('front'));
    await cell.pull(`docker://${host}/app:v2`);
    const [config, layer, ...others] = (await requests()).filter((line) => line.startsWith('GET blobs/'));
    expect([config === undefined, layer, others]).toEqual([
      false,
      `GET blobs/${changed.layers.at(-1)?.digest.slice(7, 15)}`,
      [],
    ]);
  });
});

test('pull warms a cell: the create after it fetches nothing', async () => {
  await cell.empty();
  expect((await cell.pull(tag())).code).toBe(0);
  await emptyLog(dir.at('front'));
  const id = cell.id();
  const ran = await cell.graft(['create', tag(), id]);
  expect(ran.code).toBe(0);
  expect(await requests()).toEqual(['HEAD manifests/v1']);
  await cell.graft(['delete', id]);
  expect((await cell.graft(['list'])).stdout).toBe('Store empty\n');
});

test('inspect asks for no layer, and says what is where', async () => {
  await cell.empty();
  const before = await cell.graft(['inspect', '--json', tag()]);
  expect(before.code).toBe(0);
  expect(
    (await requests()).filter((line) => image.layers.some((layer) => line.includes(short(layer)))),
  ).toEqual([]);
  const shown = JSON.parse(before.stdout);
  expect(shown.digest).toBe(image.manifest.digest);
  expect(shown.layers.map(({ digest, bytes }: { digest: string; bytes: number }) => [digest, bytes])).toEqual(
    image.layers.map(({ digest, size }) => [digest, size]),
  );
  expect(new Set(shown.layers.map(({ from }: { from: string }) => from))).toEqual(new Set(['source']));
  expect([shown.platform, shown.config.os]).toEqual(['linux/amd64', 'linux']);
  await cell.pull(tag());
  const after = JSON.parse((await cell.graft(['inspect', '--json', tag()])).stdout);
  expect(new Set(after.layers.map(({ from }: { from: string }) => from))).toEqual(new Set(['store']));
});

test('inspect runs the checks of a create, with both numbers', async () => {
  await cell.empty();
  const packed = image.layers.reduce((sum, { size }) => sum + size, 0);
  const ran = await cell.graft(['inspect', '--json', '--disk-limit-size-bytes', String(packed - 1), tag()]);
  expect(ran.code).toBe(0);
  const checks: { name: string; ok: boolean; detail: string }[] = JSON.parse(ran.stdout).checks;
  const okay = (name: string) => checks.find((check) => check.name === name)?.ok;
  expect(['disk limit', 'free space', 'layer count'].map(okay)).toEqual([false, true, true]);
  const detail = checks.find(({ name }) => name === 'disk limit')?.detail;
  for (const bytes of [packed, packed - 1]) expect(detail).toContain(String(bytes));
});

test('ten creates of one image at a time download each layer once', async () => {
  await cell.empty();
  await emptyLog(dir.at('front'));
  const ids = Array.from({ length: 10 }, () => cell.id());
  const made = await Promise.all(ids.map((id) => cell.graft(['create', tag(), id])));
  expect(made.map(({ code }) => code)).toEqual(ids.map(() => 0));
  const blobs = (await requests()).filter((line) =>
    image.layers.some((layer) => line === `GET blobs/${short(layer)}`),
  );
  expect(blobs.length).toBe(image.layers.length);
  await Promise.all(ids.map((id) => cell.graft(['delete', id])));
});

describe('layers come', () => {
  const BEYOND_MS = 500;

  /** A registry that keeps count of the bodies under way, and lets them go when told. */
  async function counting(parallel: number, use: (most: () => number, release: () => void) => Promise<void>) {
    let open = 0;
    let most = 0;
    let let_go = () => {};
    const released = new Promise<void>((resolve) => {
      let_go = resolve;
    });
    const server = rawServer(async (request, answer) => {
      const passed = await fetch(`http://${registry.host}${request.target}`, {
        method: request.method,
        headers: { accept: request.headers.get('accept') ?? '' },
      });
      const layer = image.layers.some(({ digest }) => request.target.endsWith(digest));
      if (layer) {
        open += 1;
        most = Math.max(most, open);
        // A request too many would come now: nothing else keeps it away.
        if (open === parallel) setTimeout(let_go, BEYOND_MS);
        await released;
      }
      const head = Object.fromEntries([...passed.headers].filter(([name]) => name !== 'content-length'));
      const body = new Uint8Array(await passed.arrayBuffer());
      const full = whole(passed.status, body, head);
      await answer.write(request.method === 'HEAD' ? full.subarray(0, full.length - body.length) : full);
      if (layer) open -= 1;
    });
    cell.settings({ insecure: [server.host], parallel_downloads: parallel });
    try {
      await cell.empty();
      const ran = await cell.pull(`docker://${server.host}/app:v1`);
      expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('8 of 8 layers fetched')]);
      await use(() => most, let_go);
    } finally {
      await server.stop();
      cell.settings({ insecure: [host] });
    }
  }

  test('one after the other where the settings say so', () =>
    counting(1, async (most) => {
      expect(most()).toBe(1);
    }));

  test('two at a time where the settings say so, and not one by one', () =>
    counting(2, async (most) => {
      expect(most()).toBe(2);
    }));
});

test('connections are kept: few serve many requests', async () => {
  await cell.empty();
  const ran = await cell.pull(tag());
  expect(logged(ran, 'http').length).toBeGreaterThanOrEqual(10);
  const trace = dir.at('connections');
  await cell.empty();
  await cell.pull(tag(), [], { before: ['strace', '-f', '-qq', '-e', 'trace=connect', '-o', trace] });
  const connects = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('AF_INET'));
  // Two that find out that there is no TLS, one for small requests, one for each layer under way.
  expect(connects.length).toBeLessThanOrEqual(2 + 1 + 6);
});
