/**
 * An image of 1 GB whose layers are published on CVMFS, beside the same image in a registry: the time from `create` to
 * the container's first process, and what the FUSE server had to read for it. Then the cost of a search for whiteouts,
 * and of a second create beside one of layers that the store has.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { packTree, type StandIn, serveImage, setMagic } from '../support/cvmfs/server.ts';
import { executable } from '../support/graft.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { sh } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { type Contestant, machine, measure, race, rounds, say, table } from './harness.ts';

const NAME = 'bench.example.org';
const ROUNDS = rounds(30);
/** Cold runs of each side; the best counts. */
const COLD = 3;
const MiB = 1024 * 1024;
/** Seven of them and the base make the image. */
const LAYER_BYTES = 146 * MiB;

await using cleanup = new AsyncDisposableStack();
const store = cleanup.use(await testStore({ bytes: 8192 * MiB }));
const { dir } = store;

say(machine());
const layers = await imageLayers();
const total = layers.reduce((sum, { tar }) => sum + tar.length, 0);
const image = layoutImage(dir, layers);
const registry = await startRegistry(dir.at('registry'));
cleanup.defer(async () => void (await registry.stop()));
await push(image.url.replace('oci://', 'oci:'), `docker://${registry.host}/bench/big:1`);
const manifest = JSON.parse(readFileSync(join(image.url.slice('oci://'.length), 'index.json'), 'utf8')) as {
  manifests: [{ digest: string }];
};
const reference = `docker://${registry.host}/bench/big@${manifest.manifests[0].digest}`;
const companion = cleanup.use(await serve('companion', layers, true));
say(`image: ${layers.length} layers, ${(total / 1e9).toFixed(2)} GB`);

await coldCreates();
await searchCost();
await secondCreates();

/** A base with one program, and layers of files that compress by about half. */
async function imageLayers(): Promise<MadeLayer[]> {
  const made = [await makeLayer(dir, 'mkdir bin; cp "$(command -v busybox)" bin/true', '.')];
  for (let layer = 0; layer < 7; layer += 1) {
    const source = dir.at(`files-${layer}`);
    mkdirSync(join(source, `opt/${layer}`), { recursive: true });
    for (let at = 0, bytes = 0; bytes < LAYER_BYTES; at += 1) {
      const size = [4096, 65536, 1 * MiB, 4 * MiB][at % 4] ?? MiB;
      const half = randomBytes(size / 2);
      writeFileSync(join(source, `opt/${layer}/${at}`), Buffer.concat([half, half.fill(at % 251)]));
      bytes += size;
    }
    made.push(await makeLayer(dir, `cp -r '${source}/.' .; touch opt/.wh.nothing-${layer}`));
    await sh('rm -rf "$1"', [source]);
  }
  return made;
}

async function serve(
  name: string,
  published: readonly MadeLayer[],
  withCompanion: boolean,
): Promise<StandIn> {
  const root = dir.at(`repository-${name}`);
  mkdirSync(root);
  await publishLayers(repositoryWriter(root, { companion: withCompanion }), published);
  setMagic(root, { fqrn: NAME });
  await packTree(root, `${root}.sqfs`);
  await sh('rm -rf "$1"', [root]);
  return serveImage(`${root}.sqfs`, dir.at('cvmfs', name, NAME));
}

function settingsFor(standIn: StandIn): string {
  const path = dir.at(`extra-${standIn.pid}.yml`);
  writeFileSync(path, `cvmfs:\n  repositories:\n  - path: ${standIn.mount}\n`);
  return path;
}

function graft(settings: string | undefined, ...args: string[]): string[] {
  const extra = settings === undefined ? [] : ['--extra-config', settings];
  return [executable(), '--store', store.path, ...extra, ...args];
}

async function forget(): Promise<void> {
  await store.graft(['delete', 'first']);
  await store.must(['clean']);
}

/** Create, and the first process in the root filesystem. */
function untilFirstProcess(create: readonly string[]): number {
  const { wallMs } = measure(create);
  return wallMs + measure(['chroot', join(store.path, 'images/first/rootfs'), '/bin/true']).wallMs;
}

async function coldCreates(): Promise<void> {
  const insecure = ['--insecure-registry', registry.host];
  const settings = settingsFor(companion);
  const best = { pulled: Infinity, published: Infinity, read: 0 };
  for (let run = 0; run < COLD; run += 1) {
    await forget();
    best.pulled = Math.min(
      best.pulled,
      untilFirstProcess(graft(undefined, 'create', ...insecure, reference, 'first')),
    );
    await forget();
    await sh('echo 2 > /proc/sys/vm/drop_caches');
    const before = companion.bytesRead();
    best.published = Math.min(
      best.published,
      untilFirstProcess(graft(settings, 'create', ...insecure, reference, 'first')),
    );
    best.read = Math.max(best.read, companion.bytesRead() - before);
  }
  await forget();
  const ratio = best.published / best.pulled;
  const share = (100 * best.read) / total;
  say('Time from create to the first process, cold; best of 3');
  say(`  pulled from docker-registry  ${best.pulled.toFixed(0)} ms`);
  say(
    `  published, through FUSE      ${best.published.toFixed(0)} ms, ratio ${ratio.toFixed(3)} (at most 0.1)`,
  );
  say(
    `  read by the FUSE server      ${(best.read / 1e6).toFixed(1)} MB, ${share.toFixed(2)} % of the image (at most 1)`,
  );
}

/** 20,000 files and some whiteouts, without a companion. */
async function searchCost(): Promise<void> {
  const script = `for d in $(seq 100); do mkdir -p d/$d; (cd d/$d; seq -f f%g 200 | xargs touch); touch d/$d/.wh.gone; done`;
  const layer = await makeLayer(dir, script);
  await using standIn = await serve('search', [layer], false);
  const searched = layoutImage(dir, [layer]);
  const settings = settingsFor(standIn);
  const ran = await store.graft([
    '--log-level',
    'info',
    '--extra-config',
    settings,
    'create',
    searched.url,
    'first',
  ]);
  const line = ran.stderr.split('\n').find((text) => text.includes('layer-walked'));
  if (line === undefined) throw new Error(`nothing was searched: ${ran.stdout}${ran.stderr}`);
  const { data } = JSON.parse(line) as { data: { entries: number; milliseconds: number } };
  say(`Search of a layer of ${data.entries} entries for whiteouts, once a layer: ${data.milliseconds} ms`);
  await forget();
}

/** The same image in a store that has its layers, and in one that uses them where they are published. */
async function secondCreates(): Promise<void> {
  const settings = settingsFor(companion);
  await using local = await testStore({ bytes: 4096 * MiB });
  await local.must(['create', image.url, 'first']);
  const contestants: Contestant[] = [
    { name: 'empty program', argv: () => [executable('empty')] },
    {
      name: 'layers of the store',
      argv: (round) => [executable(), '--store', local.path, 'create', image.url, `c-${round}`],
    },
    { name: 'published layers', argv: (round) => graft(settings, 'create', image.url, `c-${round}`) },
    // Nobody waits for the process that asks the repository (lib/cvmfs/probe.ts), so its CPU is in no other row.
    { name: 'their probe alone', argv: () => ['/bin/sh', '-c', 'exec "$0" __probe < "$1"', ...probeOf()] },
  ];
  const results = await race(contestants, ROUNDS);
  say(
    table(
      `Second create of the image; minima of ${ROUNDS} interleaved runs (published layers: at most 2.0)`,
      results,
      'layers of the store',
    ),
  );
  say('  wall time is with the probe, CPU without: see its own row');
}

/** The program, and a file with what it asks of a repository for this image. */
function probeOf(): string[] {
  const path = dir.at('probe-request');
  const steps = layers.map(({ digest }) => {
    const hex = hexOf(digest);
    return { step: 'layer', directory: `.layers/${hex.slice(0, 2)}/${hex}`, tree: 'layerfs' };
  });
  const repository = { path: companion.mount, type: 'cvmfs', name: NAME };
  writeFileSync(path, JSON.stringify({ repository, steps }));
  return [executable(), path];
}
