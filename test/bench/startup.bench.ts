/**
 * What each verb costs beside an empty program of the same runtime: Garden starts one process a call, so this
 * is paid by every container. The store is warm: the image's layer is there.
 */
import { executable } from '../support/graft.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { testStore } from '../support/stores/store.ts';
import { type Contestant, machine, race, rounds, say, table } from './harness.ts';

const ROUNDS = rounds(100);

await using store = await testStore();
const image = await makeBusyboxImage(store.dir.at('image'));
// What a stack on the store looks like to list and clean: a few containers that stay.
for (const id of ['stays-1', 'stays-2', 'stays-3']) await store.must(['create', image.url, id]);

const verb = (name: string, args: (round: number) => readonly string[]): Contestant => ({
  name,
  argv: (round) => [executable(), '--store', store.path, ...args(round)],
});
const contestants: Contestant[] = [
  { name: 'empty program', argv: () => [executable('empty')] },
  verb('version', () => ['version']),
  verb('capacity', () => ['capacity']),
  verb('create, warm', (round) => ['create', image.url, `c-${round}`]),
  verb('stats', (round) => ['stats', `c-${round}`]),
  verb('list', () => ['list']),
  verb('delete', (round) => ['delete', `c-${round}`]),
  verb('clean, nothing to do', () => ['clean']),
  verb('help', () => ['help']),
];

say(machine());
const results = await race(contestants, ROUNDS);
say(
  table(
    `Start of each verb; minima of ${ROUNDS} interleaved runs, ratios to the empty program`,
    results,
    'empty program',
  ),
);
