import { expect, test } from 'bun:test';
import { tempDir } from '../support/temp.ts';
import { fuzzCase, noFuzzCounts } from './tar-fuzz.ts';

/** Another one for each day, so that time finds what one run does not; a failure names it. */
const SEED = Math.floor(Date.now() / 86_400_000);
const CASES = 1500;

test(`${CASES} damaged archives, seed ${SEED}`, async () => {
  await using dir = tempDir();
  const counts = noFuzzCounts();
  for (let number = 0; number < CASES; number += 1) {
    try {
      await fuzzCase(SEED, number, dir.at('case'), counts);
    } catch (error) {
      throw new Error(`again: ci/fuzz --seed ${SEED} --case ${number}`, { cause: error });
    }
  }
  // A run that took nothing, or refused nothing, tested nothing.
  expect(counts.taken).toBeGreaterThan(CASES / 10);
  expect(counts.refused).toBeGreaterThan(CASES / 4);
  expect(counts.compared).toBeGreaterThan(CASES / 20);
  expect(counts.unpacked).toBeGreaterThan(CASES / 20);
}, 180_000);
