import { expect, test } from 'bun:test';
import { tempDir } from '../support/temp.ts';
import { fuzzCase, noFuzzCounts } from './tar-fuzz.ts';

/** The same on every day: a test that passed must pass again. Other seeds are for `ci/fuzz`. */
const SEED = 1;
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
}, 900_000);
