/**
 * The verbs that Garden calls by the thousand, with the configuration of a BOSH cell: beside an empty program of
 * the same runtime, on a full store beside an empty one, and many creates at once.
 *
 * The kernel of this machine may lack project quotas, so no create here has a limit.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { makeNoiseImage, tarOf } from '../support/images/noise-image.ts';
import {
  type FakeImage,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
} from '../support/registries/fake-registry.ts';
import { GpgHome, payload } from '../support/signatures/gpg-home.ts';
import { mountXfs } from '../support/stores/store.ts';
import { tempDir } from '../support/temp.ts';
import { boshCell, type CellCommand } from './bosh-cell.ts';
import { type CrowdCost, crowd, queue } from './crowd.ts';
import { fillStore, IMAGES, LAYERS } from './full-store.ts';
import {
  type Contestant,
  type Measured,
  machine,
  median,
  pairs,
  race,
  rounds,
  say,
  table,
} from './harness.ts';

const ROUNDS = rounds(100);
const MiB = 1024 ** 2;

/** Creates at once of one image: Diego starts up to 32 containers at a time, and a cell has two stores. */
const CROWD = 64;
const CROWD_ROUNDS = Math.min(ROUNDS, 3);
const IMAGE_LAYERS = 5;
const LAYER_BYTES = 3 * MiB;

/** Containers of one cell; Diego asks for the metrics of all of them every 15 seconds, one after the other. */
const CONTAINERS = 250;

await using dir = tempDir();
const metron = await Bun.udpSocket({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
const filesystem = await mountXfs(dir.path, { bytes: 2048 * MiB });

interface Served {
  readonly image: FakeImage;
  readonly registry: FakeRegistry;
  readonly url: string;
}

function serve(seed: number): Served {
  const layer = (at: number) => tarOf(`file-${at}`, noise(LAYER_BYTES, 1 + seed * IMAGE_LAYERS + at));
  const image = fakeImage(Array.from({ length: IMAGE_LAYERS }, (_, at) => layer(at)));
  const registry = fakeRegistry(image);
  return { image, registry, url: registry.image(`@${image.manifest.digest}`) };
}

/** For every round of the crowd an image that one process creates alone, and one that all want at once. */
const crowded = Array.from(
  { length: CROWD_ROUNDS },
  (_, at) => [serve(2 * at + 1), serve(2 * at + 2)] as const,
);
const pinned = serve(0);
const layout = makeNoiseImage(
  dir.at('layout'),
  'app',
  Array.from({ length: IMAGE_LAYERS }, () => MiB),
);
const tar = dir.at('rootfs.tar');
writeFileSync(tar, tarOf('file', noise(MiB)));

async function storeOfCell(name: string, own?: object): Promise<{ path: string; command: CellCommand }> {
  const path = join(filesystem, name);
  mkdirSync(path, { recursive: true });
  const hosts = [pinned, ...crowded.flat()].map(({ registry }) => registry.host);
  const options = { dir: dir.at(name), store: path, insecureRegistries: hosts, metronPort: metron.port, own };
  return { path, command: await boshCell(options) };
}

/** A registry in this process answers nobody while a race waits for its programs: warm creates must not ask. */
async function warm(command: CellCommand): Promise<void> {
  for (const [at, url] of [tar, layout.url, pinned.url].entries()) {
    await queue([command('create', url, `warm-${at}`), command('delete', `warm-${at}`)]);
  }
}

/** Contestants that make a container, ask for it and delete it, in turn. */
function verbs(command: CellCommand, where = ''): Contestant[] {
  const verb = (name: string, argv: (round: number) => string[]) => ({ name: `${name}${where}`, argv });
  const create = verb('create, tar', (round) => command('create', tar, `t-${round}`));
  return [
    { ...create, before: (round) => tidy(command, round - 1) },
    verb('create, OCI layout', (round) => command('create', layout.url, `o-${round}`)),
    verb('create, pinned', (round) => command('create', pinned.url, `p-${round}`)),
    verb('stats', (round) => command('stats', `p-${round}`)),
    verb('delete', (round) => command('delete', `p-${round}`)),
  ];
}

/** Takes away what no contestant deletes. */
async function tidy(command: CellCommand, round: number): Promise<void> {
  await queue([command('delete', `t-${round}`), command('delete', `o-${round}`)]);
}

async function besideNothing(command: CellCommand): Promise<void> {
  const empty: Contestant = { name: 'empty program', argv: () => [executable('empty')] };
  const results = await race([empty, ...verbs(command)], ROUNDS);
  await tidy(command, ROUNDS);
  const wanted = 'at most: create 1.6, stats 1.3, delete 1.6';
  say(table(`Warm verbs, ratios to an empty program (${wanted})`, results, empty.name));
}

/** A policy that demands a GPG signature of images of the registry, and the signature of the pinned image. */
async function signedPolicy(): Promise<object> {
  await using home = new GpgHome();
  await home.key('release');
  const { digest } = pinned.image.manifest;
  const place = dir.at(`signatures/app@${digest.replace(':', '=')}`);
  mkdirSync(place, { recursive: true });
  const reference = payload(digest, `${pinned.registry.host}/app`);
  writeFileSync(join(place, 'signature-1'), await home.sign(['release'], reference));
  const keyPath = await home.keyring(['release']);
  copyFileSync(keyPath, dir.at('release.gpg'));
  const anything = { '': [{ type: 'insecureAcceptAnything' }] };
  const signedIdentity = { type: 'matchRepository' };
  const signed = [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: dir.at('release.gpg'), signedIdentity }];
  const transports = { docker: { [pinned.registry.host]: signed }, oci: anything, tarball: anything };
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: [{ type: 'reject' }], transports }));
  mkdirSync(dir.at('registries.d'));
  writeFileSync(
    dir.at('registries.d/bench.yaml'),
    `docker:\n  ${pinned.registry.host}:\n    lookaside: file://${dir.at('signatures')}\n`,
  );
  return { trust: { policy: dir.at('policy.json'), registries_d: dir.at('registries.d') } };
}

/** Pairs, one create after the other, since the difference is smaller than what a machine's slow moment adds. */
async function besideNoPolicy(without: CellCommand, withPolicy: CellCommand): Promise<void> {
  const images = [
    ['tar', tar],
    ['OCI layout', layout.url],
    ['pinned', pinned.url],
  ] as const;
  say('Warm create with a policy for signatures beside one without, pairs (at most: 1 ms more)');
  for (const [kind, url] of images) {
    const contestant = (command: CellCommand, name: string): Contestant => ({
      name,
      argv: (round) => command('create', url, `${name}-${round}`),
      before: async (round) => void (await queue([command('delete', `${name}-${round - 1}`)])),
    });
    const both = [contestant(without, 'without'), contestant(withPolicy, 'with')] as const;
    const { cpuMs, wallMs } = await pairs(both, ROUNDS);
    say(`  create, ${kind.padEnd(10)}  CPU ${median(cpuMs)}; wall ${median(wallMs)}`);
    await queue([without('delete', `without-${ROUNDS}`), withPolicy('delete', `with-${ROUNDS}`)]);
  }
}

async function besideEmptyStore(few: CellCommand, many: CellCommand): Promise<void> {
  const pairs = verbs(few).map((contestant, at) => [contestant, verbs(many, ', full')[at] ?? contestant]);
  const results = await race(pairs.flat(), ROUNDS);
  for (const command of [few, many]) await tidy(command, ROUNDS);
  say(`A store with ${IMAGES} images and ${LAYERS} layers beside an empty one (at most: 1.15)`);
  for (let at = 0; at + 1 < results.length; at += 2) say(ratios(results[at], results[at + 1]));
}

function ratios(base: Measured | undefined, other: Measured | undefined): string {
  if (base === undefined || other === undefined) throw new Error('a verb was not measured');
  const cpu = `CPU ${base.cpuMs.toFixed(1)} -> ${other.cpuMs.toFixed(1)} ms, ${(other.cpuMs / base.cpuMs).toFixed(2)}`;
  const wall = `wall ${base.wallMs.toFixed(1)} -> ${other.wallMs.toFixed(1)} ms, ${(other.wallMs / base.wallMs).toFixed(2)}`;
  return `  ${base.name.padEnd(20)}  ${cpu};  ${wall}`;
}

/** Best of a few rounds each: one cold create alone, warm ones one after the other, and all of a cold image at once. */
async function manyAtOnce(command: CellCommand): Promise<void> {
  const best = { cold: Infinity, warm: Infinity, crowd: Infinity, wall: Infinity };
  for (const [round, [alone, wanted]] of crowded.entries()) {
    const create = ({ url }: Served, kind: string) =>
      Array.from({ length: CROWD }, (_, at) => command('create', url, `${kind}-${round}-${at}`));
    const [first = [], ...others] = create(alone, 'alone');
    const cold = await queue([first]);
    const warm = await queue([...others, command('create', alone.url, `alone-${round}-last`)]);
    const all = await crowd(create(wanted, 'wanted'));
    checkOnce(all, wanted);
    best.cold = Math.min(best.cold, cold.cpuMs);
    best.warm = Math.min(best.warm, warm.cpuMs);
    best.crowd = Math.min(best.crowd, all.cpuMs);
    best.wall = Math.min(best.wall, all.wallMs);
    const made = Array.from({ length: CROWD }, (_, at) => [`alone-${round}-${at}`, `wanted-${round}-${at}`]);
    await queue([...made.flat(), `alone-${round}-last`].map((id) => command('delete', id)));
  }
  const sum = best.cold + best.warm;
  say(`${CROWD} creates at once of one uncached image, every layer fetched and unpacked once (at most: 1.3)
  one cold ${best.cold.toFixed(0)} ms CPU + ${CROWD} warm ${best.warm.toFixed(0)} = ${sum.toFixed(0)}; at once ${best.crowd.toFixed(0)}, ratio ${(best.crowd / sum).toFixed(2)}; wall ${best.wall.toFixed(0)} ms`);
}

/** @throws Error when a layer came or was unpacked more than once: then no time counts */
function checkOnce({ log }: CrowdCost, { image, registry }: Served): void {
  const unpacked = log.split('.layer-unpacked"').length - 1;
  if (unpacked !== IMAGE_LAYERS) throw new Error(`${unpacked} layers unpacked of ${IMAGE_LAYERS}\n${log}`);
  for (const { digest } of image.layers) {
    const asked = registry.asked(digest).length;
    if (asked !== 1) throw new Error(`${digest} was asked for ${asked} times`);
  }
}

async function statsOfAll(command: CellCommand): Promise<void> {
  const all = Array.from({ length: CONTAINERS }, (_, at) => command('stats', `full-${at}`));
  const { wallMs, cpuMs } = await queue(all);
  say(`${CONTAINERS} stats one after the other, full store (at most: 15 s)
  ${(wallMs / 1000).toFixed(2)} s, ${(cpuMs / 1000).toFixed(2)} s CPU`);
}

const load = () =>
  `load ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`;

say(`${machine()}; ${load()}; minima of ${ROUNDS} interleaved runs`);
const few = await storeOfCell('few');
await warm(few.command);
await besideNothing(few.command);
const signed = await storeOfCell('signed', await signedPolicy());
await warm(signed.command);
await besideNoPolicy(few.command, signed.command);
await manyAtOnce(few.command);
const many = await storeOfCell('many');
await fillStore(many.command, many.path, dir.at('kinds'));
await warm(many.command);
await besideEmptyStore(few.command, many.command);
await statsOfAll(many.command);
say(load());
metron.close();
for (const { registry } of [pinned, ...crowded.flat()]) await registry.stop();
