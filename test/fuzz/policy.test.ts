import { expect, test } from 'bun:test';
import { policyCase } from './policy-fuzz.ts';

/** The same on every day. Other seeds are for `ci/fuzz-signatures --policies`. */
const SEED = 1;
const CASES = 2000;

test(`${CASES} damaged policies, registries.d files, keyrings, payloads and lines of gpgv, seed ${SEED}`, () => {
  const counts: Record<string, { refused: number; read: number }> = {};
  for (let number = 0; number < CASES; number += 1) {
    try {
      policyCase(SEED, number, counts);
    } catch (error) {
      throw new Error(`again: ci/fuzz-signatures --policies --seed ${SEED} --case ${number}`, {
        cause: error,
      });
    }
  }
  // A reader that refused all or none was not tested.
  for (const { refused, read } of Object.values(counts))
    expect(Math.min(refused, read)).toBeGreaterThan(CASES / 500);
});
