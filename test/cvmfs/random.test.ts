/** Some of what `ci/property-cvmfs` does thousands of times. */
import { expect, test } from 'bun:test';
import { compareRandomStacks, PER_IMAGE } from './random.ts';

const CASES = 120;
const SEED = 1;
/** Everything that is rare must have come up, or the comparison means nothing. */
const RARE = [
  'ghostWhiteouts',
  'whiteoutsUnderNothing',
  'whiteoutsUnderFiles',
  'whiteoutsThroughLinks',
  'whitedOutAndMadeAgain',
  'opaqueDirectories',
  'opaqueRoots',
  'impliedParents',
  'typeChanges',
  'hardLinks',
  'linksIntoLower',
] as const;

/** The policies alternate by images of PER_IMAGE cases: some of each are compared. */
const STARTS = [0, PER_IMAGE, 2 * PER_IMAGE];

test(`${CASES} random stacks, published and mounted through FUSE, are what they are from a layout`, async () => {
  const counts: Record<string, number> = {};
  const totals: Record<string, number> = {};
  for (const first of STARTS) {
    const run = { seed: SEED, first, cases: CASES / STARTS.length, publisher: 'ducc' } as const;
    const { failure, ...found } = await compareRandomStacks(run);
    if (failure !== undefined) {
      throw new Error(`${failure.text}\nagain: ci/property-cvmfs --seed ${SEED} --case ${failure.number}`);
    }
    for (const [name, count] of Object.entries(found.counts)) counts[name] = (counts[name] ?? 0) + count;
    for (const [name, count] of Object.entries(found.totals)) totals[name] = (totals[name] ?? 0) + count;
  }
  for (const name of RARE) expect([name, (counts[name] ?? 0) > 0]).toEqual([name, true]);
  expect(totals['stacks']).toBe(CASES);
  for (const [name, count] of Object.entries(totals)) expect([name, count > 0]).toEqual([name, true]);
}, 900_000);

/** A layer that nobody can unpack, and one that depends on a lower layer, are not published. */
const PUBLISHED_CASES = 50;

test(`${PUBLISHED_CASES} random stacks that graft publishes are what they are from a layout`, async () => {
  const run = { seed: 2, first: 0, cases: PUBLISHED_CASES, publisher: 'graft' } as const;
  const { totals, failure } = await compareRandomStacks(run);
  if (failure !== undefined) {
    throw new Error(
      `${failure.text}\nagain: ci/property-cvmfs --publisher graft --seed 2 --case ${failure.number}`,
    );
  }
  // The publisher loses nothing, so no layer is in doubt.
  expect(totals).toMatchObject({ stacks: PUBLISHED_CASES, doubted: 0, accepted: 0 });
  expect(totals.published).toBeGreaterThan(PUBLISHED_CASES);
  expect(totals.withShims).toBeGreaterThan(PUBLISHED_CASES / 50);
}, 900_000);
