/**
 * A cold create of a large image against `umoci unpack`, and against gzip and GNU tar one layer after the other:
 * same bytes, one XFS, a warm page cache, each side ended by `sync -f`, trees compared before a time counts.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { umociRootfs } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { type Contestant, machine, race, rounds, say, table } from './harness.ts';
import { largeImage, layerBlobs } from './large-image.ts';
import { peakOf } from './peak.ts';

const ROUNDS = rounds(3);
const GiB = 1024 ** 3;

const image = await largeImage();
await using store = await testStore({ bytes: 12 * GiB });
const bundle = join(store.path, '../bundle');
const extracted = join(store.path, '../extracted');

/** Nothing that a round before left to be written, or to be deleted, may be paid for by the next. */
const settle = async () => {
  for (const path of [bundle, extracted]) rmSync(path, { recursive: true, force: true });
  await must('sync', ['-f', store.path]);
};

async function checkTrees(): Promise<string> {
  const peak = peakOf([executable(), '--store', store.path, 'create', image.url, 'compared']);
  const rootfs = join(store.path, 'images/compared/rootfs');
  const differences = compareTrees(rootfs, await umociRootfs(image, bundle), {
    // umoci marks what it unpacked; an overlay adds nothing of its own.
    ignoreXattrs: ['user.rootlesscontainers'],
  });
  if (differences.length > 0)
    throw new Error(`the trees differ, so no time counts:\n${differences.slice(0, 50).join('\n')}`);
  const files = (await must('find', [rootfs, '-xdev', '-printf', '.'])).length;
  const bytes = Number((await must('du', ['-s', '-B1', '--apparent-size', rootfs])).split('\t')[0]);
  await store.must(['delete', 'compared']);
  say(`graft's peak memory: ${peak} MiB`);
  return `${(bytes / 1e9).toFixed(2)} GB in ${files} files`;
}

const contestants: Contestant[] = [
  {
    name: 'umoci unpack; sync -f',
    before: settle,
    argv: () => ['sh', '-ec', 'umoci unpack --image "$1" "$2" && sync -f "$2"', 'sh', image.name, bundle],
  },
  {
    name: 'gzip -dc | tar -x, layer by layer; sync -f',
    before: settle,
    argv: () => [
      'sh',
      '-ec',
      'mkdir "$1"; for blob; do [ "$blob" = "$1" ] || gzip -dc "$blob" | tar -x --numeric-owner -p -C "$1"; done; sync -f "$1"',
      'sh',
      extracted,
      ...layerBlobs(image),
    ],
  },
  {
    name: 'graft create, cold; sync -f',
    before: async (round) => {
      if (round > 0) await store.must(['delete', `c-${round - 1}`]);
      await store.must(['clean']);
      await settle();
    },
    argv: (round) => [
      'sh',
      '-ec',
      '"$1" --store "$2" create "$3" "$4" && sync -f "$2"',
      'sh',
      executable(),
      store.path,
      image.url,
      `c-${round}`,
    ],
  },
];

say(machine());
const what = await checkTrees();
const results = await race(contestants, ROUNDS);
const title = `Unpacking ${what}, ${layerBlobs(image).length} gzip layers; minima of ${ROUNDS} interleaved runs; the trees are the same`;
say(table(title, results, 'umoci unpack; sync -f'));
say(table('The same against gzip and tar', results.slice(1), 'gzip -dc | tar -x, layer by layer; sync -f'));
