/**
 * Random stacks, published and mounted through FUSE beside the same from a layout: see `ci/property-cvmfs`.
 *
 *   COUNT [SEED]              cases 0 to COUNT - 1 of the seed, a process for each processor
 *   --seed SEED --case CASE   one case again, with its smallest stack if it fails
 *   --publisher graft         published by `graft publish`; without it as DUCC and its stand-ins publish
 *   --seed SEED --first CASE --cases COUNT   what such a process does: prints its outcome as JSON
 */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { COUNTED } from '../property/stacks.ts';
import {
  compareAgain,
  compareRandomStacks,
  PER_IMAGE,
  type Publisher,
  type RandomOutcome,
} from './random.ts';

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

async function again(seed: number, one: number, publisher: Publisher): Promise<void> {
  const text = await compareAgain(seed, one, publisher);
  say(`case ${one} of seed ${seed} ${text === undefined ? 'without a difference' : `differs:\n${text}`}`);
  if (text !== undefined) process.exitCode = 1;
}

/** The cases of one filesystem image, in a process of their own. */
async function imageOf(
  publisher: Publisher,
  seed: number,
  first: number,
  cases: number,
): Promise<RandomOutcome> {
  const numbers = ['--seed', String(seed), '--first', String(first), '--cases', String(cases)];
  const options = [...numbers, '--publisher', publisher];
  const child = Bun.spawn([process.execPath, import.meta.path, ...options], { stdout: 'pipe' });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`cases from ${first} on ended without an outcome: ${text}`);
  return JSON.parse(text) as RandomOutcome;
}

async function allImages(cases: number, seed: number, publisher: Publisher): Promise<RandomOutcome> {
  const todo: number[] = [];
  for (let first = 0; first < cases; first += PER_IMAGE) todo.push(first);
  const outcomes: RandomOutcome[] = [];
  const work = async () => {
    for (let first = todo.shift(); first !== undefined; first = todo.shift()) {
      const outcome = await imageOf(publisher, seed, first, Math.min(PER_IMAGE, cases - first));
      outcomes.push(outcome);
      if (outcome.failure !== undefined) todo.length = 0;
      say(`${sum(outcomes, ({ totals }) => totals.stacks)} of ${cases}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return merged(outcomes);
}

function sum(outcomes: readonly RandomOutcome[], of: (outcome: RandomOutcome) => number): number {
  return outcomes.reduce((total, outcome) => total + of(outcome), 0);
}

function merged(outcomes: readonly RandomOutcome[]): RandomOutcome {
  const [first, ...rest] = outcomes;
  if (first === undefined) throw new Error('there were no cases');
  const { counts, totals } = first;
  for (const other of rest) {
    for (const name of COUNTED) counts[name] += other.counts[name];
    for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += other.totals[name];
  }
  return { counts, totals, failure: outcomes.find(({ failure }) => failure !== undefined)?.failure };
}

async function all(cases: number, seed: number, publisher: Publisher): Promise<void> {
  say(`seed ${seed}`);
  const started = performance.now();
  const { counts, totals, failure } = await allImages(cases, seed, publisher);
  say(JSON.stringify({ ...totals, ...counts }));
  if (failure === undefined) {
    const seconds = Math.round((performance.now() - started) / 1000);
    say(`${totals.stacks} cases of seed ${seed} without a difference, ${seconds} s`);
    return;
  }
  say(`case ${failure.number} of seed ${seed} differs:\n${failure.text}`);
  say(`again: ci/property-cvmfs --publisher ${publisher} --seed ${seed} --case ${failure.number}`);
  process.exitCode = 1;
}

const text = { type: 'string' } as const;
const { values, positionals } = parseArgs({
  options: { seed: text, case: text, first: text, cases: text, publisher: text },
  allowPositionals: true,
});
const seed = number(values.seed ?? positionals[1] ?? String(Date.now() % 1_000_000));
const publisher: Publisher = values.publisher === 'graft' ? 'graft' : 'ducc';
if (values.case !== undefined) await again(seed, number(values.case), publisher);
else if (values.first !== undefined) {
  const run = { seed, first: number(values.first), cases: number(values.cases ?? '1'), publisher };
  say(JSON.stringify(await compareRandomStacks(run)));
} else await all(number(positionals[0] ?? '10000'), seed, publisher);
