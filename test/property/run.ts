/**
 * Random stacks, mounted and compared with the model, every 33rd also with umoci: see `ci/property`.
 *
 *   COUNT [SEED]              cases 0 to COUNT - 1 of the seed
 *   --seed SEED --case CASE   one case again, with its smallest stack if it fails
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Outcome, type Run, runCases } from './run-cases.ts';
import { COUNTED } from './stacks.ts';

const UMOCI_EVERY = 33;
const TELL_EVERY = 500;
/** So many have some of everything that is counted; what a run has made none of, it has not tested. */
const ENOUGH_CASES = 300;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function wanted(): Run {
  const { values, positionals } = parseArgs({
    options: { seed: { type: 'string' }, case: { type: 'string' } },
    allowPositionals: true,
  });
  const seed = number(values.seed ?? positionals[1] ?? String(Date.now() % 1_000_000));
  if (values.case !== undefined) return { seed, first: number(values.case), cases: 1, umociEvery: 1 };
  return { seed, first: 0, cases: number(positionals[0] ?? '10000'), umociEvery: UMOCI_EVERY };
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

function tell({ counts, umoci, failure }: Outcome, run: Run, seconds: number): void {
  say(JSON.stringify(counts));
  say(`umoci: ${umoci.compared} stacks compared, ${umoci.refused} refused by umoci`);
  if (failure === undefined) {
    const none = COUNTED.filter((name) => counts[name] === 0);
    if (run.cases >= ENOUGH_CASES && none.length > 0) {
      say(`none of the ${run.cases} cases of seed ${run.seed} has ${none.join(', ')}`);
      process.exitCode = 1;
      return;
    }
    say(`${run.cases} cases of seed ${run.seed} without a difference, ${Math.round(seconds)} s`);
    return;
  }
  say(`case ${failure.number} of seed ${run.seed} differs:\n${failure.text}`);
  say(`again: ci/property --seed ${run.seed} --case ${failure.number}`);
  process.exitCode = 1;
}

const run = wanted();
say(`seed ${run.seed}`);
const started = performance.now();
const onProgress = (done: number) => {
  if (done % TELL_EVERY === 0) say(`${done} of ${run.cases}`);
};
tell(await runCases({ ...run, onProgress }), run, (performance.now() - started) / 1000);
