/**
 * A cold create of a real base system of about 100 MB against `umoci unpack` followed by `sync -f`, on one XFS:
 * both end with the same tree on disk, which is checked before a time counts.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { baseSystem } from '../support/images/base-system.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { makeImage, umociRootfs } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { type Contestant, machine, race, rounds, say, table } from './harness.ts';

const ROUNDS = rounds(10);
const GiB = 1024 ** 3;

await using store = await testStore({ bytes: 4 * GiB });
const bundle = join(store.path, '../bundle');
const source = store.dir.at('rootfs');
await baseSystem(source, ['required', 'important']);
const image = await makeImage(store.dir.at('image'), 'system', [source]);
const bytes = Number((await must('du', ['-s', '-B1', '--apparent-size', source])).split('\t')[0]);

const removeBundle = () => rmSync(bundle, { recursive: true, force: true });
/** Nothing that a round before left to be written may be paid for by the next. */
const settle = () => must('sync', ['-f', store.path]).then(() => undefined);

async function checkTrees(): Promise<void> {
  await store.must(['create', image.url, 'compared']);
  const differences = compareTrees(
    join(store.path, 'images/compared/rootfs'),
    await umociRootfs(image, bundle),
    {
      // umoci marks what it unpacked; an overlay adds nothing of its own.
      ignoreXattrs: ['user.rootlesscontainers'],
    },
  );
  if (differences.length > 0)
    throw new Error(`the trees differ, so no time counts:\n${differences.join('\n')}`);
  await store.must(['delete', 'compared']);
}

const contestants: Contestant[] = [
  {
    name: 'umoci unpack; sync -f',
    before: async () => {
      removeBundle();
      await settle();
    },
    argv: () => ['sh', '-ec', 'umoci unpack --image "$1" "$2" && sync -f "$2"', 'sh', image.name, bundle],
  },
  {
    name: 'graft create, cold',
    before: async (round) => {
      removeBundle();
      if (round > 0) await store.must(['delete', `c-${round - 1}`]);
      await store.must(['clean']);
      await settle();
    },
    argv: (round) => [executable(), '--store', store.path, 'create', image.url, `c-${round}`],
  },
];

say(machine());
await checkTrees();
const results = await race(contestants, ROUNDS);
const title = `Unpacking ${(bytes / 1e6).toFixed(0)} MB in one gzip layer; minima of ${ROUNDS} interleaved runs; the trees are the same`;
say(table(title, results, 'umoci unpack; sync -f'));
