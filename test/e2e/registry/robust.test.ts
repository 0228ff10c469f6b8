/** Networks as they are: servers that cut, drip, lie, refuse for a while, or die, and pulls that are killed. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync } from 'node:fs';
import { executable } from '../../support/graft.ts';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { umociRootfs } from '../../support/images/images.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { connect, netns } from '../../support/programs/netns.ts';
import { settledLog, startNginx } from '../../support/programs/nginx.ts';
import type { RunningServer } from '../../support/programs/server.ts';
import { contentAnswer } from '../../support/registries/fake-registry.ts';
import { rawServer } from '../../support/registries/raw-server.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { cleanEnv, must, type Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { freePort, type TempDir, tempDir } from '../../support/temp.ts';

const MiB = 1024 * 1024;
/** Deadlines a person would not set, so that no test waits for long. */
const QUICK = {
  connect_ms: 2000,
  answer_ms: 5000,
  idle_ms: 3000,
  slow_window_ms: 1000,
  slow_bytes_per_second: 2000,
};

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let image: NoiseImage;
let oracle: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry')));
  image = makeNoiseImage(dir.at('image'), 'v1', [3 * MiB, 100_000]);
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`);
  oracle = await umociRootfs(image, dir.at('bundle'));
  cell = cleanup.use(await Cell.make());
});
let nginx: RunningServer | undefined;
let host = '';
beforeEach(async () => {
  await nginx?.stop();
  nginx = undefined;
  await cell.empty();
});
afterAll(async () => void (await nginx?.stop()));

/** nginx in front of the registry; `blobs` is what it does with those. Its log has Range headers in it. */
async function inFront(blobs: string, more = ''): Promise<void> {
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  const servers = `${more} server { listen ${host}; location ~ /blobs/ { ${blobs.replace('PASS', pass)} } location / { ${pass} } }`;
  nginx = await startNginx(dir.at('nginx'), servers, [port]);
  truncateSync(dir.at('nginx/access.log'));
  cell.settings({ insecure: [host], timeouts: QUICK });
}

const url = () => `docker://${host}/app:v1`;
const blobLog = async () =>
  (await settledLog(dir.at('nginx'))).filter((line) => line.includes(`/blobs/${image.layers[0]?.digest}`));

/** The path of the partial file, when it has so many bytes. The name is a hash of the blob and its repository. */
async function partialFile(bytes: number): Promise<string> {
  const directory = `${cell.store}/meta/partial`;
  for (;;) {
    const name = existsSync(directory) && readdirSync(directory).find((entry) => !entry.endsWith('.claim'));
    if (name && statSync(`${directory}/${name}`).size >= bytes) return `${directory}/${name}`;
    await Bun.sleep(5);
  }
}

/** The image is there, whole: its tree is what umoci makes of the image itself. */
async function isWhole(ran: Ran): Promise<void> {
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/ layers? fetched/)]);
  const id = cell.id();
  const made = await cell.graft(['create', url(), id]);
  expect(compareTrees(JSON.parse(made.stdout).root.path, oracle)).toEqual([]);
  await cell.graft(['delete', id]);
}

describe('a server that', () => {
  test('drips is given up, in a sentence that says what was waited for', async () => {
    await inFront('limit_rate 2000; PASS');
    cell.settings({
      insecure: [host],
      timeouts: { ...QUICK, idle_ms: 5000, slow_bytes_per_second: 100_000 },
    });
    const ran = await cell.pull(url());
    const words = expect.stringMatching(/waited [0-9.]{1,4} s for more than 100000 bytes a second/);
    expect([ran.code, ran.stdout]).toEqual([1, words]);
    expect(logged(ran, 'blob-retry').length).toBeGreaterThan(1);
  });

  test('answers with a part, though all was asked for, is refused', async () => {
    await inFront('proxy_set_header Range "bytes=7-"; PASS');
    const ran = await cell.pull(url());
    const words = 'answers with status 206: it sends something else than what was asked for';
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
  });

  test('is out of order for a while is asked again', async () => {
    // One request in a while is let through; the others get 503.
    await inFront(
      'limit_req zone=one; limit_req_status 503; PASS',
      'limit_req_zone $server_port zone=one:1m rate=3r/s;',
    );
    cell.settings({
      insecure: [host],
      timeouts: QUICK,
      retries: { first_pause_ms: 30, longest_pause_ms: 60, attempts: 20 },
    });
    await isWhole(await cell.pull(url()));
    expect((await settledLog(dir.at('nginx'))).join('\n')).toMatch(/ 503 /);
  });

  test('stays out of order is named, with its status', async () => {
    await inFront('return 503 "under repair";');
    const ran = await cell.pull(url());
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining(`${host} answers with status 503: under repair`),
    ]);
  });

  test('limits pulls is waited for, as long as it says', async () => {
    await inFront(
      'limit_req zone=one; limit_req_status 429; add_header Retry-After 0 always; PASS',
      'limit_req_zone $server_port zone=one:1m rate=3r/s;',
    );
    cell.settings({
      insecure: [host],
      timeouts: QUICK,
      retries: { first_pause_ms: 30, longest_pause_ms: 60, attempts: 20 },
    });
    await isWhole(await cell.pull(url()));
    expect((await settledLog(dir.at('nginx'))).join('\n')).toMatch(/ 429 /);
  });

  test('limits pulls for long is named at once, with the limit and the time', async () => {
    await inFront(
      `add_header Retry-After 3600 always; add_header RateLimit-Limit "100;w=21600" always;
       return 429 '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';`,
    );
    const ran = await cell.pull(url());
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith(
      `${host} limits how much may be pulled (100 pulls in 6 hours): You have reached your pull rate limit.; try again in 60 minutes`,
    );
    expect((await blobLog()).length + 1).toBeLessThanOrEqual(2);
  });

  test('compresses on its own is not believed: digests are of what was pushed', async () => {
    await inFront('gunzip off; gzip on; gzip_types *; gzip_min_length 1; PASS');
    await isWhole(await cell.pull(url()));
  });

  // A server that lies about ranges does so only to whom asks for one.
  const lies = 'map $http_range $lie { default ""; "~." "bytes=7-"; }';
  test.each([
    ['and honours ranges', '', '', / 206 "-" "bytes=\d{7}-"$/],
    ['and serves everything again', '', 'proxy_set_header Range "";', / 200 "-" "bytes=\d{7}-"$/],
    ['and gives another range than was asked for', lies, 'proxy_set_header Range $lie;', / 200 "-" "-"$/],
  ])('dies and comes back %s is gone on with, at the very byte', async (_how, more, range, last) => {
    const port = await freePort();
    host = `127.0.0.1:${port}`;
    const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
    const servers = (how: string) => `${more} server { listen ${host}; location / { ${how} ${pass} } }`;
    nginx = await startNginx(dir.at('nginx'), servers('limit_rate 1m; limit_rate_after 500k;'), [port]);
    truncateSync(dir.at('nginx/access.log'));
    cell.settings({
      insecure: [host],
      resume_from_bytes: 1,
      timeouts: QUICK,
      retries: { first_pause_ms: 20, longest_pause_ms: 50, attempts: 100 },
    });
    const pulling = cell.pull(url());
    await partialFile(MiB);
    await nginx.kill();
    nginx = await startNginx(dir.at('nginx'), servers(range), [port]);
    await isWhole(await pulling);
    expect((await blobLog()).at(-1)?.replace(/ \d+$/, '')).toMatch(last);
  });
});

test('a connection that is cut in every body still brings the image', async () => {
  // The registry, behind something that resets every answer after 256 KiB.
  const layer = image.layers[0];
  const bytes = readFileSync(`${image.layout}/blobs/sha256/${layer?.digest.slice(7)}`);
  const cutter = rawServer(async (request, answer) => {
    if (!request.target.endsWith(layer?.digest ?? '')) {
      const passed = await fetch(`http://${registry.host}${request.target}`, {
        method: request.method,
        headers: { accept: request.headers.get('accept') ?? '' },
      });
      const head = [...passed.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
      await answer.write(`HTTP/1.1 ${passed.status} x\r\n${head}\r\n`);
      await answer.write(new Uint8Array(await passed.arrayBuffer()));
      return;
    }
    const full = contentAnswer(request, { digest: layer?.digest ?? '', bytes, mediaType: 'x' }, undefined);
    await answer.write(full.subarray(0, 256 * 1024));
    if (full.length > 256 * 1024) answer.cut();
  });
  host = cutter.host;
  cell.settings({ insecure: [host], timeouts: QUICK, retries: { attempts: 10 } });
  await isWhole(await cell.pull(url()));
  await cutter.stop();
});

describe('a pull that is killed', () => {
  test('goes on where it stopped, in another process; nothing is left in the end', async () => {
    await inFront('limit_rate 2m; limit_rate_after 500k; PASS');
    cell.settings({ insecure: [host], resume_from_bytes: 1 });
    const child = Bun.spawn([executable(), '--config', cell.config, 'pull', url()], {
      env: cleanEnv(),
      stdout: 'ignore',
      stderr: 'ignore',
    });
    const partial = await partialFile(MiB);
    child.kill('SIGKILL');
    await child.exited;
    const kept = statSync(partial).size;
    truncateSync(dir.at('nginx/access.log'));
    const ran = await cell.pull(url());
    await isWhole(ran);
    expect(logged(ran, 'blob-resumed')).toMatchObject([{ digest: image.layers[0]?.digest, bytes: kept }]);
    // The killed one's line comes late, when nginx notices.
    const asked = (await blobLog()).map((line) => line.split('"').at(-2));
    expect(asked.filter((range) => range !== '-')).toEqual([`bytes=${kept}-`]);
    expect(readdirSync(`${cell.store}/meta/partial`)).toEqual([]);
  });

  test('and never taken up again is cleared away by age, not before', async () => {
    await inFront('limit_rate 2m; limit_rate_after 500k; PASS');
    cell.settings({ insecure: [host], resume_from_bytes: 1 });
    const child = Bun.spawn([executable(), '--config', cell.config, 'pull', url()], {
      env: cleanEnv(),
      stdout: 'ignore',
      stderr: 'ignore',
    });
    const partial = await partialFile(1000);
    child.kill('SIGKILL');
    await child.exited;
    await cell.graft(['clean']);
    expect(existsSync(partial)).toBe(true);
    const lastWeek = Date.now() / 1000 - 8 * 86_400;
    utimesSync(partial, lastWeek, lastWeek);
    await cell.graft(['clean']);
    expect(existsSync(partial)).toBe(false);
  });
});

test('a host that takes no connection is given up after the connection deadline', async () => {
  await using inside = await netns([], ['10.98.0.7 deaf.test']);
  await using outside = await netns([], []);
  await connect(inside, '10.98.0.1', outside, '10.98.0.2');
  // A neighbour with an address that nobody has: what is sent to it is never answered, nor refused.
  const neighbour = ['10.98.0.7', 'lladdr', '02:00:00:00:00:07', 'dev', 'cable', 'nud', 'permanent'];
  await must('ip', ['-n', inside.name, 'neigh', 'add', ...neighbour]);
  cell.settings({ timeouts: { ...QUICK, connect_ms: 200, answer_ms: 60_000 }, retries: { attempts: 2 } });
  const ran = await cell.pull('docker://deaf.test/app:v1', [], { before: inside.enter });
  expect([ran.code, ran.stdout]).toEqual([
    1,
    expect.stringContaining('deaf.test: waited 0.2 s for a connection'),
  ]);
});
