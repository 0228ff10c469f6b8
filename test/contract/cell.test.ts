/** What a Diego cell does beyond single calls: two plugins, droplets, metrics, signals, memory. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../../lib/base/digest.ts';
import { executable } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { mountPointsBelow } from '../support/temp.ts';
import { writeGardenLayout } from './garden/layout.ts';
import { CELL_ENV, garden, runLikeGarden } from './garden/run.ts';

const GRAFT = executable();
const MiB = 1024 * 1024;

let unprivileged: TestStore;
let privileged: TestStore;
let tar: string;
let droplet: Uint8Array;
/** Serves the droplet; under /stall it begins and never goes on. */
let server: ReturnType<typeof Bun.serve>;
let metron: Socket;
const datagrams: Buffer[] = [];
let ids = 0;
const newId = () => `cell-${++ids}`;

beforeAll(async () => {
  const mapping = ['--uid-mapping', '0:4294967294:1', '--gid-mapping', '0:4294967294:1'];
  unprivileged = await testStore({ init: mapping });
  privileged = await testStore();
  const tree = unprivileged.dir.at('tree');
  mkdirSync(`${tree}/home/vcap`, { recursive: true });
  writeFileSync(`${tree}/base`, 'x'.repeat(50_000));
  tar = unprivileged.dir.at('base.tar');
  await must('tar', ['-C', tree, '--owner=0', '--group=0', '-cf', tar, '.']);
  const app = unprivileged.dir.at('app');
  mkdirSync(app);
  writeFileSync(`${app}/app.txt`, 'the app');
  const packed = unprivileged.dir.at('droplet.tgz');
  await must('tar', ['-C', app, '--owner=0', '--group=0', '-czf', packed, '.']);
  droplet = readFileSync(packed);
  server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: serve });
  metron = createSocket('udp4');
  metron.on('message', (message) => datagrams.push(message));
  await new Promise<void>((resolve) => metron.bind(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await server.stop(true);
  metron.close();
  await unprivileged.dir.remove();
  await privileged.dir.remove();
});

function serve(request: Request): Response {
  if (new URL(request.url).pathname !== '/stall') return new Response(Buffer.from(droplet));
  const stream = new ReadableStream({ start: (controller) => controller.enqueue(droplet.subarray(0, 10)) });
  return new Response(stream);
}

function config(store: TestStore, lines: readonly string[] = []): string {
  const path = store.dir.at(`config-${++ids}.yml`);
  writeFileSync(path, [`store: ${store.path}`, 'log_level: info', ...lines, ''].join('\n'));
  return path;
}

const U = (...args: readonly string[]) => [GRAFT, '--config', config(unprivileged), ...args];
const P = (...args: readonly string[]) => [GRAFT, '--config', config(privileged), ...args];

describe('two plugins', () => {
  test('a privileged container is found by the second one, and both are asked to delete it', async () => {
    const id = newId();
    await garden.create(P('create', tar, id));
    await expect(garden.stats(U('stats', id))).rejects.toThrow(`Image \`${id}\` not found.`);
    expect((await garden.stats(P('stats', id))).totalBytesUsed).toBeGreaterThanOrEqual(50_000n);
    await garden.delete(U('delete', id));
    await garden.delete(P('delete', id));
    expect(existsSync(`${privileged.path}/images/${id}`)).toBe(false);
  });

  test('owners are mapped in one and not in the other', async () => {
    const id = newId();
    const mapped = await garden.create(U('create', tar, id));
    const plain = await garden.create(P('create', tar, id));
    const owner = (path: string) => must('stat', ['-c', '%u:%g', path]);
    expect(await owner(`${mapped.rootPath}/base`)).toBe('4294967294:4294967294\n');
    expect(await owner(`${plain.rootPath}/base`)).toBe('0:0\n');
    await garden.delete(U('delete', id));
    await garden.delete(P('delete', id));
  });
});

describe('a droplet on a preloaded stack', () => {
  const image = (path: string, sha256 = sha256Hex(droplet)) =>
    writeGardenLayout(unprivileged.dir.at(`depot-${++ids}`), tar, {
      url: `http://127.0.0.1:${server.port}${path}`,
      sha256,
      path: '/home/vcap',
    });
  const skipping = ['create:', '  skip_layer_validation: true'];

  test('is made of the layout that Garden writes', async () => {
    const id = newId();
    const path = config(unprivileged, skipping);
    const { rootPath } = await garden.create([
      GRAFT,
      '--config',
      path,
      'create',
      image('/droplet?a=1&b=2'),
      id,
    ]);
    expect(readFileSync(`${rootPath}/home/vcap/app.txt`, 'utf8')).toBe('the app');
    expect(existsSync(`${rootPath}/base`)).toBe(true);
    await garden.delete(U('delete', id));
  });

  test('is refused with validation, since its digests are invented, also when its layers are there', async () => {
    const failed = await runLikeGarden(U('create', image('/droplet'), newId()));
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toContain('create.skip_layer_validation: true in the configuration file');
  });

  test('that stops coming is given up on SIGTERM, and leaves nothing', async () => {
    const id = newId();
    const before = {
      images: readdirSync(`${unprivileged.path}/images`),
      mounts: mountPointsBelow(unprivileged.path),
    };
    const asked = Promise.withResolvers<void>();
    const waiting = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        asked.resolve();
        return serve(request);
      },
    });
    const layout = writeGardenLayout(unprivileged.dir.at(`depot-${++ids}`), tar, {
      url: `http://127.0.0.1:${waiting.port}/stall`,
      sha256: sha256Hex('another droplet'),
      path: '/home/vcap',
    });
    let pid = 0;
    const call = runLikeGarden([GRAFT, '--config', config(unprivileged, skipping), 'create', layout, id], {
      started: (started) => {
        pid = started;
      },
    });
    await Promise.race([asked.promise, call]);
    process.kill(pid, 'SIGTERM');
    const stopped = await call;
    await waiting.stop(true);
    expect([stopped.exitCode, stopped.stdout]).toEqual([143, 'stopped by SIGTERM before it was done\n']);
    expect(stopped.relogged().every((entry) => entry.lager)).toBe(true);
    expect(readdirSync(`${unprivileged.path}/images`)).toEqual(before.images);
    expect(mountPointsBelow(unprivileged.path)).toEqual(before.mounts);
    expect(readdirSync(`${unprivileged.path}/tmp`)).toEqual([]);
  });
});

describe('a registry with a password', () => {
  test('is asked in silence, whatever the environment wants to see', async () => {
    const seen: string[] = [];
    const registry = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        seen.push(request.headers.get('authorization') ?? '');
        const headers = { 'www-authenticate': 'Basic realm="sesame"' };
        return new Response(`{"errors":[{"code":"UNAUTHORIZED","message":"not sesame"}]}`, {
          status: 401,
          headers,
        });
      },
    });
    const host = `127.0.0.1:${registry.port}`;
    const run = await runLikeGarden(
      [
        ...[
          GRAFT,
          '--log-level',
          'debug',
          '--store',
          unprivileged.path,
          'create',
          '--insecure-registry',
          host,
        ],
        ...['--username', 'u', '--password', 'sesame', `docker://${host}/x/y`, newId()],
      ],
      { env: { ...CELL_ENV, BUN_CONFIG_VERBOSE_FETCH: 'curl', NODE_DEBUG: 'http', DEBUG: '*' } },
    );
    await registry.stop(true);
    const credentials = Buffer.from('u:sesame').toString('base64');
    expect(seen).toContain(`Basic ${credentials}`);
    expect(run.exitCode).toBe(1);
    expect(run.relogged().every((entry) => entry.lager)).toBe(true);
    const said = run.stdout + Buffer.concat(run.stderrReads.map((read) => Buffer.from(read))).toString();
    for (const word of ['sesame', credentials]) expect(said).not.toContain(word);
  });
});

describe('metrics', () => {
  const names = () =>
    datagrams.map((datagram) => /[A-Z][A-Za-z]+(?=\x11)/.exec(datagram.toString('latin1'))?.[0]);
  const arrived = async (name: string) => {
    while (!names().includes(name)) await new Promise((resolve) => metron.once('message', resolve));
  };

  test('of create, delete and clean reach metron under GrootFS’s names', async () => {
    const endpoint = `metron_endpoint: 127.0.0.1:${metron.address().port}`;
    const call = (...args: readonly string[]) => [
      GRAFT,
      '--config',
      config(unprivileged, [endpoint]),
      ...args,
    ];
    const id = newId();
    await garden.create(call('create', tar, id));
    await arrived('ImageCreationTime');
    await garden.delete(call('delete', id));
    await arrived('ImageDeletionTime');
    await garden.delete(call('clean'));
    await arrived('ImageCleanTime');
    await arrived('UsedLayersSize');
  });

  test('of a create that failed are sent too', async () => {
    datagrams.length = 0;
    const endpoint = `metron_endpoint: 127.0.0.1:${metron.address().port}`;
    const failed = await runLikeGarden([
      ...[GRAFT, '--config', config(unprivileged, [endpoint]), 'create', '/nope.tar', newId()],
    ]);
    expect(failed.exitCode).toBe(1);
    await arrived('ImageCreationTime');
  });

  test('are written for Prometheus, by both stores into one file', async () => {
    const file = unprivileged.dir.at('graft.prom');
    const id = newId();
    for (const store of [unprivileged, privileged]) {
      const call = [GRAFT, '--config', config(store), '--metrics-file', file];
      await garden.create([...call, 'create', tar, id]);
      await garden.delete([...call, 'delete', id]);
    }
    const text = readFileSync(file, 'utf8');
    for (const store of [unprivileged, privileged])
      for (const name of ['creation', 'deletion'])
        expect(text).toMatch(
          new RegExp(`^graft_image_${name}_time_seconds\\{store="${store.path}"\\} [0-9.e-]+$`, 'm'),
        );
  });

  test('are named by graft’s own settings as well', async () => {
    const path = config(unprivileged);
    const file = unprivileged.dir.at('own.prom');
    mkdirSync(`${path}.d`);
    writeFileSync(`${path}.d/metrics.yml`, `metrics: {file: ${file}}\n`);
    const id = newId();
    await garden.create([GRAFT, '--config', path, 'create', tar, id]);
    await garden.delete([GRAFT, '--config', path, 'delete', id]);
    expect(readFileSync(file, 'utf8')).toContain('graft_image_deletion_time_seconds');
  });

  test('that nobody takes cost no time and no error', async () => {
    const path = config(unprivileged, ['metron_endpoint: no-such-host.invalid:3457']);
    const id = newId();
    await garden.create(U('create', tar, id));
    const run = await runLikeGarden([GRAFT, '--config', path, 'delete', id]);
    expect(run.exitCode).toBe(0);
    expect(run.relogged().every((entry) => entry.lager && entry.level === 'info')).toBe(true);
  });
});

describe('a warm verb', () => {
  test('takes at most 60 MiB: 70 of them run at once on a cell', async () => {
    const id = newId();
    await garden.create(U('create', tar, id));
    for (const verb of [U('stats', id), U('create', tar, newId()), U('delete', id), U('capacity')]) {
      const child = Bun.spawn(verb, { env: CELL_ENV, stdio: ['ignore', 'ignore', 'ignore'] });
      expect(await child.exited).toBe(0);
      expect([verb[3], (child.resourceUsage()?.maxRSS ?? Number.NaN) / MiB < 60]).toEqual([verb[3], true]);
    }
    await garden.delete(U('delete', `cell-${ids}`));
  });
});
