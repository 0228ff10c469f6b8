import { expect, test } from 'bun:test';
import { noCounts, signatureCase } from './signature-fuzz.ts';

/** The same on every day. Other seeds are for `ci/fuzz-signatures`. */
const SEED = 1;
const CASES = 3000;

test(`${CASES} damaged signatures, seed ${SEED}`, () => {
  const counts = noCounts();
  for (let number = 0; number < CASES; number += 1) {
    try {
      signatureCase(SEED, number, counts);
    } catch (error) {
      throw new Error(`again: ci/fuzz-signatures --seed ${SEED} --case ${number}`, { cause: error });
    }
  }
  // A run that refused nothing, or for one reason, tested nothing.
  expect(counts.counted).toBeGreaterThan(CASES / 100);
  expect(Object.keys(counts.refused).length).toBeGreaterThan(8);
}, 120_000);
