/**
 * The specs of GrootFS's own integration suite about metrics, logs, absent stores and limits, under the suite's names, on
 * a filesystem without project quotas.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { graft } from '../support/graft.ts';
import { makeNoiseImage } from '../support/images/noise-image.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
let metron: Socket;
let received: { name: string; value: number; unit: string }[] = [];
let ids = 0;
const newId = () => `suite-${++ids}`;

beforeAll(async () => {
  store = await testStore();
  metron = createSocket('udp4');
  metron.on('message', (message) => received.push(decode(message)));
  await new Promise<void>((resolve) => metron.bind(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  metron.close();
  await store[Symbol.asyncDispose]();
});

/** Name, value and unit of a dropsonde ValueMetric: fields 1, 2 and 3. */
function decode(message: Buffer) {
  const [, name = '', value = '', unit = ''] =
    /\x0a.([A-Z][A-Za-z]+)\x11(.{8})\x1a.([a-z]+)/s.exec(message.toString('latin1')) ?? [];
  return { name, value: Buffer.from(value, 'latin1').readDoubleLE(), unit };
}

/** What a call sends, up to the metric that it sends last. */
async function metricsOf(last: string, ...args: readonly string[]) {
  received = [];
  const endpoint = `127.0.0.1:${metron.address().port}`;
  const ran = await graft(['--store', store.path, '--metron-endpoint', endpoint, ...args]);
  while (!received.some(({ name }) => name === last))
    await new Promise((resolve) => metron.once('message', resolve));
  const value = (name: string) => received.find((metric) => metric.name === name)?.value;
  return { ran, names: received.map(({ name }) => name), value, all: received };
}

const AFTER_CREATE = ['DownloadedLayersSizeInBytes', 'CommittedQuotaInBytes', 'UsedBackingStoreInBytes'];
const USE = ['UnusedLayersSize', 'UsedLayersSize'];
const BYTES = 3000;
let images = 0;
/** An image of two layers that no other has. */
const newImage = () =>
  makeNoiseImage(store.dir.at(`image-${++images}`), 'a', [BYTES + images, BYTES + images]);

describe('Metrics', () => {
  test('create: each time and size as often as GrootFS sends it, and in its order', async () => {
    const cold = await metricsOf('UsedBackingStoreInBytes', 'create', newImage().url, newId());
    expect(cold.names).toEqual([
      ...['SharedLockingTime', 'ExclusiveLockingTime', 'ExclusiveLockingTime'],
      ...['DownloadTime', 'UnpackTime', 'DownloadTime', 'UnpackTime'],
      ...['ImageCreationTime', ...USE, ...AFTER_CREATE],
    ]);
    for (const { name, unit } of cold.all) expect(unit).toBe(name.endsWith('Time') ? 'nanos' : 'bytes');
    for (const name of ['SharedLockingTime', 'ExclusiveLockingTime', 'UnpackTime'])
      expect(cold.value(name)).toBeGreaterThan(0);
    expect(cold.value('UnusedLayersSize')).toBe(0);
    expect(cold.value('UsedLayersSize')).toBe(2 * (BYTES + images));
    expect(cold.value('DownloadedLayersSizeInBytes')).toBe(2 * (BYTES + images));
  });

  test('create of a cached image locks nothing alone and downloads nothing', async () => {
    const image = newImage().url;
    const first = newId();
    await store.graft(['create', image, first]);
    const warm = await metricsOf('UsedBackingStoreInBytes', 'create', image, newId());
    expect(warm.names).toEqual(['SharedLockingTime', 'ImageCreationTime', ...USE, ...AFTER_CREATE]);
    expect(warm.value('UnusedLayersSize')).toBe(0);
  });

  test('create that fails sends the times that it reached', async () => {
    const failed = await metricsOf('ImageCreationTime', 'create', '/nope.tar', newId());
    expect(failed.ran.code).toBe(1);
    expect(failed.names).toEqual(['ImageCreationTime']);
  });

  test('delete: a positive unused layers size, also of the layers of a create that failed', async () => {
    const id = newId();
    const { url } = newImage();
    await store.graft(['create', url, id]);
    const before = await metricsOf('UsedLayersSize', 'delete', id);
    expect(before.names).toEqual(['ImageDeletionTime', ...USE]);
    expect(before.value('ImageDeletionTime')).toBeGreaterThan(0);
    expect(before.value('UnusedLayersSize')).toBe(2 * (BYTES + images));
  });

  test('delete of what is not there sends nothing', async () => {
    received = [];
    const endpoint = `127.0.0.1:${metron.address().port}`;
    await store.graft(['--metron-endpoint', endpoint, 'delete', 'nobody']);
    const next = await metricsOf('ImageCreationTime', 'create', '/nope.tar', newId());
    expect(next.names).toEqual(['ImageCreationTime']);
  });

  test('clean: two locking times, the clean time, and nothing unused', async () => {
    const clean = await metricsOf('UsedBackingStoreInBytes', 'clean');
    expect(clean.names.slice(0, 5)).toEqual([
      ...['ExclusiveLockingTime', 'ExclusiveLockingTime', 'ImageCleanTime'],
      ...USE,
    ]);
    expect(clean.value('ExclusiveLockingTime')).toBeGreaterThan(0);
    expect(clean.value('UnusedLayersSize')).toBe(0);
  });

  test('create --with-clean: unused layers size once, by the clean, and it is zero', async () => {
    const unused = newId();
    await store.graft(['create', newImage().url, unused]);
    await store.graft(['delete', unused]);
    const id = newId();
    const created = await metricsOf('UnusedLayersSize', 'create', '--with-clean', newImage().url, id);
    expect(created.names.filter((name) => name === 'UnusedLayersSize')).toHaveLength(1);
    expect(created.value('UnusedLayersSize')).toBe(0);
  });

  test('create --with-clean below its threshold starts no clean and tells what is unused itself', async () => {
    const args = ['create', '--with-clean', '--threshold-bytes', '1000000000000', newImage().url, newId()];
    const created = await metricsOf('UsedBackingStoreInBytes', ...args);
    expect(created.names.slice(-5)).toEqual([...USE, ...AFTER_CREATE]);
  });
});

describe('Stats and Delete, when the store or the image does not exist', () => {
  const nowhere = ['--store', '/invalid-store', '--log-level', 'debug'];
  const outside = '/Iamnot/in/the/storage/images/1234/rootfs';

  test.each([
    ['invalid-id', 'Image `invalid-id` not found. There is no store at /invalid-store.\n'],
    ['/invalid-store/images/not-here', 'Image `not-here` not found. There is no store at /invalid-store.\n'],
    [outside, `path \`${outside}\` is outside store path`],
  ])('stats %s', async (argument, answer) => {
    const ran = await graft([...nowhere, 'stats', argument]);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith(answer);
  });

  test.each(['stats', 'delete'])('%s logs the image path', async (verb) => {
    const ran = await graft([...nowhere, verb, '/path/to/random-id']);
    expect(ran.stderr).toContain('"id":"/path/to/random-id"');
    expect(ran.code).toBe(verb === 'stats' ? 1 : 0);
  });

  test('a store that is there answers without the addition', async () => {
    const ran = await graft(['--store', store.path, 'stats', 'invalid-id']);
    expect(ran).toMatchObject({ code: 1, stdout: 'Image `invalid-id` not found.\n', stderr: '' });
  });
});

describe('Logs', () => {
  const debug = ['--log-level', 'debug'];

  test('list: when the store does not exist, fails and logs the error', async () => {
    const ran = await graft([...debug, '--store', '/invalid-store', 'list']);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('"error":"no store found at /invalid-store"');
    expect(ran.stderr).toContain('"code":"STORE_MISSING"');
  });

  test('create: the error is what the caller is told', async () => {
    const ran = await graft([...debug, '--store', store.path, 'create', '/non/existent/rootfs', newId()]);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/"error":".*no such file or directory"/);
    expect(ran.stdout).toContain('no such file or directory');
  });

  test('init-store: of a store that is initialised already', async () => {
    const ran = await graft([...debug, '--store', store.path, 'init-store']);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain('store-already-initialized');
  });

  test('clean: writes groot-cleaning to its log, also after a create', async () => {
    const file = store.dir.at('clean.log');
    const ran = await graft([
      ...[...debug, '--store', store.path, 'create', '--with-clean', '--clean-log-file', file],
      ...[newImage().url, newId()],
    ]);
    expect(ran.stderr).not.toContain('groot-cleaning');
    while (!readFileSync(file, 'utf8').includes('groot-cleaning.ending')) await Bun.sleep(5);
  });

  test('clean: when the store does not exist, logs an error and succeeds', async () => {
    const ran = await graft([...debug, '--store', '/invalid-store', 'clean']);
    expect(ran).toMatchObject({ code: 0, stdout: 'no store found at /invalid-store\n' });
    expect(ran.stderr).toContain('"error":"no store found at /invalid-store"');
  });
});

describe('Numbers', () => {
  const create = (...args: readonly string[]) =>
    graft(['--store', store.path, 'create', '--disk-limit-size-bytes', ...args, newId()]);

  test('an inclusive limit below the declared sizes is told before what the filesystem lacks', async () => {
    const ran = await create('10', newImage().url);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith('layers exceed disk quota');
  });

  test('so is one below what the layers turn out to be', async () => {
    const { url } = makeNoiseImage(store.dir.at('one-layer'), 'a', [5000]);
    const ran = await create('6000', url);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith('uncompressed layer size exceeds quota');
  });

  test.each(['true', 'false'])('a limit of 2^63 - 1 is one (exclusive: %s)', async (exclusive) => {
    const flag = `--exclude-image-from-quota=${exclusive}`;
    const ran = await create('9223372036854775807', flag, newImage().url);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toStartWith('a disk limit was asked for, but the store');
  });

  test('a limit of 2^63 is none', async () => {
    const ran = await create('9223372036854775808', newImage().url);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('for flag -disk-limit-size-bytes: value out of range');
  });

  test.each(['clean', 'create'])('%s: the clean threshold cannot be negative', async (verb) => {
    const rest = verb === 'create' ? ['/a.tar', 'id'] : [];
    const ran = await graft(['--store', store.path, verb, '--threshold-bytes', '-10', ...rest]);
    expect(ran).toMatchObject({
      code: 1,
      stdout: 'invalid argument: clean threshold cannot be negative\n',
    });
  });
});
