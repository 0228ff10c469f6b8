/** The subset of containers-registries.conf(5) that is read, with registries that are what it makes of a name. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { emptyLog, settledLog, startNginx } from '../../support/programs/nginx.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { freePort, type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let image: NoiseImage;
/** Ports of two mirrors of one registry, told apart by their place in the log. */
const mirrors: number[] = [];
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry')));
  image = makeNoiseImage(dir.at('image'), 'v1', [40_000, 20_000]);
  await push(`oci:${image.name}`, `docker://${registry.host}/physical/app:v1`);
  const pass = `proxy_pass http://${registry.host}; proxy_set_header Host $http_host;`;
  for (let i = 0; i < 2; i += 1) mirrors.push(await freePort());
  const servers = mirrors.map((port) => `server { listen 127.0.0.1:${port}; location / { ${pass} } }`);
  cleanup.use(await startNginx(dir.at('mirrors'), servers.join('\n'), mirrors));
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  await emptyLog(dir.at('mirrors'));
});

function pull(conf: string, name: string): Promise<Ran> {
  writeFileSync(dir.at('registries.conf'), conf);
  cell.settings({ registries_conf: [dir.at('registries.conf')] });
  return cell.pull(`docker://${name}`);
}
const mirror = (at: number) => `127.0.0.1:${mirrors[at]}`;
/** `METHOD kind PORT` of every request that a mirror got for the image, sorted. */
const seen = async () =>
  (await settledLog(dir.at('mirrors'))).flatMap((line) => {
    const [, method, kind, port] = /^(\w+) \/v2\/physical\/app\/(\w+)\/.* (\d+)$/.exec(line) ?? [];
    return method === undefined ? [] : [`${method} ${kind} ${mirrors.indexOf(Number(port))}`];
  });
const fetched = (ran: Ran) =>
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('2 of 2 layers fetched')]);

describe('a location', () => {
  test('replaces the prefix of a name, and need not be secure', async () => {
    const conf = `[[registry]]
      prefix = "company.test/team"
      location = "${registry.host}/physical"
      insecure = true\n`;
    const ran = await pull(conf, 'company.test/team/app:v1');
    fetched(ran);
    // The image keeps the name that it was asked for by.
    expect(ran.stdout).toContain('docker://company.test/team/app:v1@sha256:');
  });

  test('counts for whole components of a name only', async () => {
    const conf = `[[registry]]
      prefix = "${registry.host}/phys"
      location = "127.0.0.1:1/none"
      [[registry]]
      location = "${registry.host}"
      insecure = true\n`;
    fetched(await pull(conf, `${registry.host}/physical/app:v1`));
  });

  test('of the longest prefix holds, and a block of it holds too', async () => {
    const conf = `[[registry]]
      location = "${registry.host}"
      insecure = true
      [[registry]]
      location = "${registry.host}/physical/app"
      blocked = true\n`;
    const ran = await pull(conf, `${registry.host}/physical/app:v1`);
    const words = `images from ${registry.host}/physical/app are blocked by ${dir.at('registries.conf')}`;
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(logged(ran, 'http')).toEqual([]);
  });

  test('that is not insecure is never spoken to without TLS', async () => {
    const conf = `[[registry]]
      prefix = "company.test"
      location = "${registry.host}"\n`;
    const ran = await pull(conf, 'company.test/physical/app:v1');
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('This registry is insecure.')]);
  });
});

describe('mirrors', () => {
  const table = (of: string, more = '') => `[[registry]]
      prefix = "company.test"
      location = "127.0.0.1:1"
      insecure = true
      ${more}
      ${of}`;
  const entry = (at: number, more = '') => `[[registry.mirror]]
      location = "${mirror(at)}"
      insecure = true
      ${more}\n`;

  test('are asked in their order: the second is not, where the first has all', async () => {
    fetched(await pull(table(entry(0) + entry(1)), 'company.test/physical/app:v1'));
    expect(new Set((await seen()).map((request) => request.split(' ')[2]))).toEqual(new Set(['0']));
  });

  test('give what their table says: tags one, content the other', async () => {
    const of = entry(0, 'pull-from-mirror = "tag-only"') + entry(1, 'pull-from-mirror = "digest-only"');
    fetched(await pull(table(of), 'company.test/physical/app:v1'));
    expect((await seen()).sort()).toEqual([
      ...['GET blobs 1', 'GET blobs 1', 'GET blobs 1'],
      ...['GET manifests 1', 'HEAD manifests 0'],
    ]);
  });

  test('by digest only leave a tag to the registry itself, which is not there', async () => {
    const conf = table(entry(0), 'mirror-by-digest-only = true');
    const tag = await pull(conf, 'company.test/physical/app:v1');
    expect([tag.code, tag.stdout]).toEqual([
      1,
      expect.stringContaining('cannot reach the registry 127.0.0.1:1'),
    ]);
    expect(await seen()).toEqual([]);
    fetched(await pull(conf, `company.test/physical/app@${image.manifest.digest}`));
  });
});
