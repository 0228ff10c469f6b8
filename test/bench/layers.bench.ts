/**
 * Layers that are large in one way: what an entry and a byte cost should be the same in a small and a large one, and
 * the memory of the process should not grow at all. Cold creates on one XFS with a warm page cache, each ended by
 * `sync -f`, interleaved; each tree is compared with what GNU tar extracts before a time counts.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { must, sh } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { type Contestant, machine, race, rounds, say } from './harness.ts';
import { type LargeLayer, oneFile, tinyFiles } from './large-layers.ts';
import { peakOf } from './peak.ts';

const ROUNDS = rounds(3);
const [MB, GiB] = [1e6, 1024 ** 3];
const LONG = { timeoutMs: 1_200_000 };

interface Row {
  readonly name: string;
  /** What a time is divided by. */
  readonly units: number;
  readonly unit: 'entry' | 'MB';
  readonly layer: LargeLayer;
  readonly peak: string;
}

await using store = await testStore({ bytes: 12 * GiB });
const extracted = join(store.path, '../extracted');

const create = (layer: LargeLayer, id: string): string[] => [
  'sh',
  '-ec',
  '"$1" --store "$2" create "$3" "$4" && sync -f "$2"',
  'sh',
  executable(),
  store.path,
  layer.url,
  id,
];

/** The archive that GNU tar makes of a tree holds all that it is: its digest takes no memory here. */
const digestOf = (tree: string) =>
  sh(
    'tar --create --directory "$1" --sort=name --format=posix --numeric-owner --xattrs --pax-option=delete=atime,delete=ctime,exthdr.name=%f . | sha256sum',
    [tree],
    LONG,
  );

async function remove(id: string): Promise<void> {
  await store.must(['delete', id], LONG);
  await store.must(['clean'], LONG);
  await must('sync', ['-f', store.path], LONG);
}

/** Unpacks a layer once, both ways. @returns the most memory that graft had */
async function compared(layer: LargeLayer): Promise<string> {
  await sh('mkdir "$2"; gzip -dc "$1" | tar -x --numeric-owner -p -C "$2"', [layer.blob, extracted], LONG);
  const peak = peakOf([executable(), '--store', store.path, 'create', layer.url, 'compared']);
  const [ours, tars] = [
    await digestOf(join(store.path, 'images/compared/rootfs')),
    await digestOf(extracted),
  ];
  if (ours !== tars) throw new Error(`${layer.url}: the trees differ, so no time counts`);
  rmSync(extracted, { recursive: true });
  await remove('compared');
  return peak;
}

async function row(name: string, unit: Row['unit'], layer: LargeLayer): Promise<Row> {
  const units = unit === 'entry' ? layer.entries : layer.tarBytes / MB;
  return { name, unit, units, layer, peak: await compared(layer) };
}

const files = async (count: number) =>
  row(`${count.toLocaleString('en')} files`, 'entry', await tinyFiles(store.dir.at(`files-${count}`), count));
const megabytes = async (size: number) =>
  row(`one file of ${size} MB`, 'MB', await oneFile(store.dir.at(`bytes-${size}`), size * MB));

say(machine());
const rows: Row[] = [];
for (const count of [20_000, 50_000, 200_000]) rows.push(await files(count));
for (const size of [100, 500, 1000, 2000]) rows.push(await megabytes(size));

const contestants = rows.map(
  ({ name, layer }, at): Contestant => ({
    name,
    before: async (round) => {
      if (round > 0) await remove(`c-${at}-${round - 1}`);
    },
    argv: (round) => create(layer, `c-${at}-${round}`),
  }),
);
const results = await race(contestants, ROUNDS);

say(`Unpacking one gzip layer; minima of ${ROUNDS} interleaved runs; the trees are those of GNU tar`);
const lines = [['', 'CPU ms', 'wall ms', 'CPU µs', 'wall µs', 'per', 'peak MiB']];
for (const [at, { cpuMs, wallMs }] of results.entries()) {
  const { name, unit, units, peak } = rows[at] as Row;
  const each = (ms: number) => ((ms * 1000) / units).toFixed(unit === 'entry' ? 1 : 0);
  lines.push([name, cpuMs.toFixed(0), wallMs.toFixed(0), each(cpuMs), each(wallMs), unit, peak]);
}
const widths =
  lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
for (const line of lines) {
  const cells = line.map((cell, i) =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
  );
  say(`  ${cells.join('  ')}`);
}
