/**
 * Damaged signatures through the readers of lib/trust/sigstore: see `ci/fuzz-signatures`.
 *
 *   SECONDS [SEED]            cases of the seed until the time is over
 *   --seed SEED --case CASE   one case again
 *   --policies                policy.json, registries.d, keyrings, payloads and gpgv's lines instead of Sigstore's files
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { policyCase } from './policy-fuzz.ts';
import { noCounts, signatureCase } from './signature-fuzz.ts';

const say = (line: string) => writeSync(1, `${line}\n`);

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

function run(seed: number, first: number, goOn: (done: number) => boolean): void {
  const counts = noCounts();
  const ofPolicies = {};
  const one = (of: number, number: number) =>
    values.policies ? policyCase(of, number, ofPolicies) : signatureCase(of, number, counts);
  let done = 0;
  for (; goOn(done); done += 1) {
    try {
      one(seed, first + done);
    } catch (error) {
      say(`case ${first + done}: ${error instanceof Error ? error.stack : String(error)}`);
      say(
        `again: ci/fuzz-signatures${values.policies ? ' --policies' : ''} --seed ${seed} --case ${first + done}`,
      );
      process.exitCode = 1;
      return;
    }
  }
  say(`seed ${seed}, ${done} cases, nothing found: ${JSON.stringify(values.policies ? ofPolicies : counts)}`);
}

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' }, case: { type: 'string' }, policies: { type: 'boolean' } },
  allowPositionals: true,
});
const seed = number(values.seed ?? positionals[1] ?? String(Date.now() % 1_000_000));
if (values.case !== undefined) run(seed, number(values.case), (done) => done === 0);
else {
  const until = performance.now() + number(positionals[0] ?? '60') * 1000;
  run(seed, 0, () => performance.now() < until);
}
