/**
 * Random stacks, published and mounted through FUSE beside the same from a layout: see `ci/property-cvmfs`.
 *
 *   COUNT [SEED]              cases 0 to COUNT - 1 of the seed
 *   --seed SEED --case CASE   one case again, with its smallest stack if it fails
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compareAgain, compareRandomStacks } from './random.ts';

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

async function again(seed: number, one: number): Promise<void> {
  const text = await compareAgain(seed, one);
  say(`case ${one} of seed ${seed} ${text === undefined ? 'without a difference' : `differs:\n${text}`}`);
  if (text !== undefined) process.exitCode = 1;
}

async function all(cases: number, seed: number): Promise<void> {
  say(`seed ${seed}`);
  const started = performance.now();
  const onProgress = (done: number) => say(`${done} of ${cases}`);
  const { counts, totals, failure } = await compareRandomStacks({ seed, first: 0, cases, onProgress });
  say(JSON.stringify({ ...totals, ...counts }));
  if (failure === undefined) {
    const seconds = Math.round((performance.now() - started) / 1000);
    say(`${cases} cases of seed ${seed} without a difference, ${seconds} s`);
    return;
  }
  say(`case ${failure.number} of seed ${seed} differs:\n${failure.text}`);
  say(`again: ci/property-cvmfs --seed ${seed} --case ${failure.number}`);
  process.exitCode = 1;
}

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' }, case: { type: 'string' } },
  allowPositionals: true,
});
const seed = number(values.seed ?? positionals[1] ?? String(Date.now() % 1_000_000));
if (values.case !== undefined) await again(seed, number(values.case));
else await all(number(positionals[0] ?? '10000'), seed);
