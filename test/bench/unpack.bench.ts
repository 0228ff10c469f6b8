/**
 * A cold create, on layers that are directories and on layers that are images, against `umoci unpack`, and against gzip and
 * GNU tar one layer after the other: same bytes, one XFS, a warm page cache, each side ended by `sync -f`, trees compared before
 * a time counts. Once with a large image as people have them, and once with 70,000 small files in one layer.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { executable, graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { umociRootfs } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { mountXfs } from '../support/stores/store.ts';
import { tempDir } from '../support/temp.ts';
import { type Contestant, machine, race, rounds, say, table, withThreads } from './harness.ts';
import { largeImage, layerBlobs } from './large-image.ts';
import { tinyFiles } from './large-layers.ts';
import { peakOf } from './peak.ts';

const ROUNDS = rounds(3);
const GiB = 1024 ** 3;
const SMALL_FILES = 70_000;
const KINDS = ['directories', 'images'] as const;
type Kind = (typeof KINDS)[number];

/** BENCH_IMAGES=small leaves the large image out, which has to be made of packages first. */
const only = process.env['BENCH_IMAGES'];

interface Raced {
  readonly url: string;
  /** As umoci takes it. */
  readonly name: string;
  readonly blobs: readonly string[];
}

await using dir = tempDir();
const disk = await mountXfs(dir.path, { bytes: 24 * GiB });
const bundle = join(disk, 'bundle');
const extracted = join(disk, 'extracted');
const storeOf = (kind: Kind) => join(disk, kind);
const graft = (kind: Kind, ...args: string[]) => graftMust(['--store', storeOf(kind), ...args]);
for (const kind of KINDS) {
  mkdirSync(storeOf(kind));
  await graft(kind, 'init-store', '--layers', kind);
}

/** Nothing that a round before left to be written, or to be deleted, may be paid for by the next. */
const settle = async () => {
  for (const path of [bundle, extracted]) rmSync(path, { recursive: true, force: true });
  await must('sync', ['-f', disk]);
};

async function checkTrees({ url, name }: Raced): Promise<string> {
  const wanted = await umociRootfs({ name }, bundle);
  for (const kind of KINDS) {
    const peak = peakOf([executable(), '--store', storeOf(kind), 'create', url, 'compared']);
    const differences = compareTrees(join(storeOf(kind), 'images/compared/rootfs'), wanted, {
      // umoci marks what it unpacked; an overlay adds nothing of its own.
      ignoreXattrs: ['user.rootlesscontainers'],
    });
    if (differences.length > 0)
      throw new Error(`the trees differ, so no time counts:\n${differences.slice(0, 50).join('\n')}`);
    await graft(kind, 'delete', 'compared');
    say(`graft's peak memory, ${kind}: ${peak} MiB`);
  }
  const files = (await must('find', [wanted, '-xdev', '-printf', '.'])).length;
  const bytes = Number((await must('du', ['-s', '-B1', '--apparent-size', wanted])).split('\t')[0]);
  return `${(bytes / 1e9).toFixed(2)} GB in ${files} files`;
}

const UMOCI = 'umoci unpack; sync -f';
const TAR = 'gzip -dc | tar -x, layer by layer; sync -f';
const create = (kind: Kind) => `graft create, cold, ${kind}; sync -f`;

function contestants({ url, name, blobs }: Raced): Contestant[] {
  return [
    {
      name: UMOCI,
      before: settle,
      argv: () => ['sh', '-ec', 'umoci unpack --image "$1" "$2" && sync -f "$2"', 'sh', name, bundle],
    },
    {
      name: TAR,
      before: settle,
      argv: () => [
        'sh',
        '-ec',
        'mkdir "$1"; for blob; do [ "$blob" = "$1" ] || gzip -dc "$blob" | tar -x --numeric-owner -p -C "$1"; done; sync -f "$1"',
        'sh',
        extracted,
        ...blobs,
      ],
    },
    ...KINDS.map((kind) => ({
      name: create(kind),
      before: async (round: number) => {
        if (round > 0) await graft(kind, 'delete', `c-${round - 1}`);
        await graft(kind, 'clean');
        await settle();
      },
      argv: (round: number) => [
        'sh',
        '-ec',
        '"$1" --store "$2" create "$3" "$4" && sync -f "$2"',
        'sh',
        executable(),
        storeOf(kind),
        url,
        `c-${round}`,
      ],
    })),
  ];
}

async function raceOn(raced: Raced): Promise<void> {
  const what = await checkTrees(raced);
  const results = await race(contestants(raced), ROUNDS);
  for (const kind of KINDS) {
    await graft(kind, 'delete', `c-${ROUNDS}`);
    await graft(kind, 'clean');
  }
  const { length } = raced.blobs;
  const layers = length === 1 ? 'one gzip layer' : `${length} gzip layers`;
  say(
    table(
      `Unpacking ${what}, ${layers}; minima of ${ROUNDS} interleaved runs; the trees are the same`,
      results,
      UMOCI,
    ),
  );
  say(table('The same against gzip and tar', results.slice(1), TAR));
  say(
    table(
      "Images against directories, with the CPU of the kernel's threads on the whole machine",
      withThreads(results.slice(2)),
      create('directories'),
    ),
  );
}

say(machine());
if (only !== 'small') {
  const image = await largeImage();
  await raceOn({ url: image.url, name: image.name, blobs: layerBlobs(image) });
}
const small = await tinyFiles(dir.at('small'), SMALL_FILES);
await raceOn({ url: small.url, name: small.url.slice('oci://'.length), blobs: [small.blob] });
