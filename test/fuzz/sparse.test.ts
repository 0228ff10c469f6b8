import { expect, test } from 'bun:test';
import { tempDir } from '../support/temp.ts';
import { noSparseCounts, sparseCase } from './sparse-fuzz.ts';

/** The same on every day: a test that passed must pass again. Other seeds are for `ci/fuzz-sparse`. */
const SEED = 1;
const CASES = 60;

test(`${CASES} archives with sparse files, seed ${SEED}, as umoci, GNU tar and bsdtar read them`, async () => {
  await using dir = tempDir();
  const counts = noSparseCounts();
  for (let number = 0; number < CASES; number += 1) {
    try {
      await sparseCase(SEED, number, dir.at('case'), counts);
    } catch (error) {
      throw new Error(`again: ci/fuzz-sparse 1 ${SEED} ${number}`, { cause: error });
    }
  }
  // A run that took nothing, or refused nothing, tested nothing.
  expect(counts.right).toBeGreaterThan(CASES / 4);
  expect(counts.taken).toBeGreaterThan(CASES / 10);
  expect(counts.refused).toBeGreaterThan(CASES / 10);
}, 120_000);
