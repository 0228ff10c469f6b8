/** Random stacks of layers, published and mounted through FUSE, beside the same from a layout (`random.ts` runs more). */
import { expect, test } from 'bun:test';
import { compareRandomStacks } from './random.ts';

const STACKS = 300;
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

test(`${STACKS} random stacks are what they are from a registry`, async () => {
  const { differences, counts, ...outcome } = await compareRandomStacks(STACKS, 1, 1);
  expect(differences).toEqual([]);
  expect(outcome.stacks).toBe(STACKS);
  for (const name of RARE) expect([name, counts[name] > 0]).toEqual([name, true]);
  const { published, fetched, withShims, withMasks } = outcome;
  for (const [name, count] of Object.entries({ published, fetched, withShims, withMasks })) {
    expect([name, count > STACKS / 10]).toEqual([name, true]);
  }
}, 900_000);
