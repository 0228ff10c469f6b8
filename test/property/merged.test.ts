/** Some of what `ci/property` does thousands of times. */
import { expect, test } from 'bun:test';
import { runCases } from './run-cases.ts';
import { COUNTED } from './stacks.ts';

/** The same on every day: a test that passed must pass again. Other seeds are for `ci/property`. */
const SEED = 1;
const CASES = 150;
const UMOCI_EVERY = 6;

test(`${CASES} random stacks are mounted as the model has them, seed ${SEED}`, async () => {
  const { counts, umoci, failure } = await runCases({
    seed: SEED,
    first: 0,
    cases: CASES,
    umociEvery: UMOCI_EVERY,
  });
  if (failure !== undefined) {
    throw new Error(`${failure.text}\nagain: ci/property --seed ${SEED} --case ${failure.number}`);
  }
  // What a run has made none of, it has not tested.
  for (const name of COUNTED) expect([name, counts[name] > 0]).toEqual([name, true]);
  expect(umoci.compared).toBeGreaterThan(CASES / UMOCI_EVERY / 2);
  expect(umoci.compared + umoci.refused).toBe(CASES / UMOCI_EVERY);
}, 900_000);
