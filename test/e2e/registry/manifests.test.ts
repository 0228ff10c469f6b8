/** Every kind of manifest that skopeo can push, and those that no tool should. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { type MadeImage, makeBusyboxImage, umociRootfs, zstdTwin } from '../../support/images/images.ts';
import {
  forPlatform,
  type Json,
  LayoutBuilder,
  named,
  type RawDescriptor,
} from '../../support/images/layout-builder.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { must } from '../../support/shell.ts';
import { Cell } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let busybox: MadeImage;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry')));
  busybox = await makeBusyboxImage(dir.at('busybox'));
  cell = cleanup.use(await Cell.make());
  cell.settings({ insecure: [registry.host] });
});

const image = (name: string) => `docker://${registry.host}/${name}`;
const refused = async (name: string) => {
  const ran = await cell.pull(image(name));
  expect(ran.code).toBe(1);
  return ran.stdout;
};

/** Puts a manifest as it is under `name:v1` and its digest, with its blobs from a layout: what no tool would push. */
async function put(name: string, layout: LayoutBuilder, document: RawDescriptor): Promise<void> {
  const base = `http://${registry.host}/v2/${name}`;
  for (const blob of await blobsOf(layout)) {
    const started = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(started.headers.get('location') ?? '', base);
    location.searchParams.set('digest', `sha256:${blob.split('/').at(-1)}`);
    await must201(fetch(location, { method: 'PUT', body: readFileSync(blob) }));
  }
  const body = readFileSync(layout.blobPath(document));
  const headers = { 'content-type': document.mediaType };
  for (const reference of [document.digest, 'v1'])
    await must201(fetch(`${base}/manifests/${reference}`, { method: 'PUT', headers, body }));
}

async function must201(answering: Promise<Response>): Promise<void> {
  const answer = await answering;
  if (answer.status !== 201) throw new Error(`the registry answers ${answer.status}: ${await answer.text()}`);
}

async function blobsOf(layout: LayoutBuilder): Promise<string[]> {
  return (await must('find', [`${layout.directory}/blobs/sha256`, '-type', 'f'])).trim().split('\n');
}

describe('what skopeo pushes gives the tree that umoci makes', () => {
  test.each([
    ['an OCI manifest', ['--format', 'oci']],
    ['a Docker manifest of schema 2', ['--format', 'v2s2']],
    ['layers compressed by zstd', ['--format', 'oci', '--dest-compress-format', 'zstd']],
  ])('%s', async (what, options) => {
    const name = what.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase();
    await push(`oci:${busybox.name}`, `docker://${registry.host}/${name}:v1`, ...options);
    const id = cell.id();
    await cell.empty();
    const made = await cell.graft(['create', image(`${name}:v1`), id]);
    expect(made.code).toBe(0);
    const oracle = await umociRootfs(busybox, dir.at(`bundle-${name}`));
    expect(compareTrees(JSON.parse(made.stdout).root.path, oracle)).toEqual([]);
    await cell.graft(['delete', id]);
  });
});

describe('a list', () => {
  let oci: RawDescriptor;
  let multi: LayoutBuilder;
  beforeAll(async () => {
    multi = new LayoutBuilder(dir.at('multi'));
    const entry = (text: string, platform: string, more: Json = {}) =>
      multi.image(
        [multi.layer(text)],
        { annotations: { for: platform } },
        { ...forPlatform(platform), ...more },
      );
    const attestation = entry('attestation', 'unknown/unknown', {
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    });
    oci = multi.index([
      entry('arm', 'linux/arm/v7'),
      attestation,
      entry('windows', 'windows/amd64'),
      entry('amd64', 'linux/amd64'),
      entry('arm64', 'linux/arm64/v8'),
    ]);
    multi.write([{ ...oci, ...named('v1') }]);
  });

  const layersOf = async (name: string) => {
    const inspected = await cell.graft(['inspect', '--json', image(name)]);
    expect(inspected.code).toBe(0);
    return JSON.parse(inspected.stdout);
  };

  test.each([
    ['an OCI index', 'oci'],
    ['a Docker manifest list', 'v2s2'],
  ])('%s gives the image of this platform, and never an attestation', async (_what, format) => {
    const name = `list-${format}`;
    const to = `docker://${registry.host}/${name}:v1`;
    await push(`oci:${multi.directory}:v1`, to, '--all', '--format', format);
    const chosen = await must('skopeo', [
      'inspect',
      '--tls-verify=false',
      '--override-arch',
      'amd64',
      '--override-os',
      'linux',
      '--no-tags',
      to,
    ]);
    const { layers } = await layersOf(`${name}:v1`);
    expect(layers.map(({ digest }: { digest: string }) => digest)).toEqual(JSON.parse(chosen).Layers);
  });

  test('that nests is followed; a cycle and a tower are not', async () => {
    const builder = new LayoutBuilder(dir.at('nested'));
    const inner = builder.index([builder.image([builder.layer('deep')], {}, forPlatform('linux/amd64'))]);
    const outer = builder.index([inner]);
    await put('nested', builder, inner);
    await put('nested', builder, outer);
    expect((await layersOf('nested:v1')).layers.length).toBe(1);
    let tower = outer;
    for (let level = 0; level < 3; level += 1) {
      tower = builder.index([tower]);
      await put('nested', builder, tower);
    }
    expect(await refused('nested:v1')).toContain('indexes nest deeper than 3 levels');
  });

  test('without this platform names those that it has', async () => {
    const builder = new LayoutBuilder(dir.at('other'));
    const index = builder.index([builder.image([builder.layer('arm')], {}, forPlatform('linux/arm/v7'))]);
    const [only] = JSON.parse(readFileSync(builder.blobPath(index), 'utf8')).manifests;
    await put('other', builder, only);
    await put('other', builder, index);
    expect(await refused('other:v1')).toContain('has no image for linux/amd64, it offers linux/arm/v7');
  });
});

describe('what is refused says what to do', () => {
  test('schema 1', async () => {
    await using hub = await startSchema1();
    cell.settings({ insecure: [hub.host] });
    const ran = await cell.pull(`docker://${hub.host}/app:v1`);
    cell.settings({ insecure: [registry.host] });
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('converting V1 schema failed')]);
    expect(ran.stdout).toContain('pull and push it once');
  });

  test('encrypted layers', async () => {
    const key = dir.at('key');
    await must('openssl', ['genrsa', '-out', `${key}.pem`, '2048']);
    await must('openssl', ['rsa', '-in', `${key}.pem`, '-pubout', '-out', `${key}.pub`]);
    const noise = makeNoiseImage(dir.at('plain'), 'v1', [1000]);
    const to = `docker://${registry.host}/encrypted:v1`;
    await push(`oci:${noise.name}`, to, '--encryption-key', `jwe:${key}.pub`);
    expect(await refused('encrypted:v1')).toContain('has encrypted layers');
  });

  test('foreign layers, of hosts that nobody allowed', async () => {
    const builder = new LayoutBuilder(dir.at('foreign'));
    const foreign = {
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      digest: `sha256:${'f'.repeat(64)}`,
      size: 100,
      urls: ['https://go.microsoft.test/layer.tar.gz'],
    };
    const manifest = builder.image([foreign]);
    await put('foreign', builder, manifest);
    const sentence = await refused('foreign:v1');
    expect(sentence).toContain(
      'keeps a layer outside its registry, at https://go.microsoft.test/layer.tar.gz',
    );
    expect(sentence).toContain('allow the host');
  });

  test('an artifact that is no image', async () => {
    const builder = new LayoutBuilder(dir.at('artifact'));
    const config = builder.blob('application/vnd.cncf.helm.config.v1+json', '{}');
    const chart = builder.blob('application/vnd.cncf.helm.chart.content.v1.tar+gzip', 'chart');
    const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [chart] };
    const manifest = builder.json(OCI_MANIFEST, document);
    await put('artifact', builder, manifest);
    expect(await refused('artifact:v1')).toContain('application/vnd.cncf.helm.config.v1+json');
  });

  test('a manifest that is an image and an index at once', async () => {
    const builder = new LayoutBuilder(dir.at('hybrid'));
    const layer = builder.layer('x');
    const hybrid = builder.image([layer], { manifests: [] });
    await put('hybrid', builder, hybrid).catch(() => {});
    const ran = await cell.pull(image('hybrid:v1'));
    // docker-registry may refuse to take it; whoever does take it, we do not.
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringMatching(/invalid image manifest|manifest unknown/),
    ]);
  });

  /** docker-registry converts nothing to schema 1, and takes none: one file server that gives one is enough. */
  async function startSchema1() {
    const body = JSON.stringify({ schemaVersion: 1, name: 'app', tag: 'v1', fsLayers: [], history: [] });
    const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch: (request) =>
        new Response(request.method === 'HEAD' ? null : body, { headers: { 'content-type': type } }),
    });
    return { host: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
  }
});

test('zstd and gzip of one image are one layer in the store', async () => {
  await cell.empty();
  const twin = await zstdTwin(busybox, dir.at('twin'));
  await push(`oci:${busybox.name}`, `docker://${registry.host}/gzip:v1`);
  await push(`oci:${twin.name}`, `docker://${registry.host}/zstd:v1`);
  expect((await cell.pull(image('gzip:v1'))).stdout).toContain('1 of 1 layer fetched');
  expect((await cell.pull(image('zstd:v1'))).stdout).toContain('all layers were there');
});
