/**
 * Damaged archives through the readers and the unpacker: see `ci/fuzz`.
 *
 *   SECONDS [SEED]            cases of the seed until the time is over
 *   --seed SEED --case CASE   one case again
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { tempDir } from '../support/temp.ts';
import { fuzzCase, noFuzzCounts } from './tar-fuzz.ts';

const TELL_EVERY = 5000;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

async function fuzz(seed: number, first: number, goOn: (done: number) => boolean): Promise<void> {
  await using dir = tempDir();
  const counts = noFuzzCounts();
  for (let done = 0; goOn(done); done += 1) {
    try {
      await fuzzCase(seed, first + done, dir.at(`case-${done}`), counts);
    } catch (error) {
      say(`case ${first + done}: ${error instanceof Error ? error.stack : String(error)}`);
      say(`again: ci/fuzz --seed ${seed} --case ${first + done}`);
      process.exitCode = 1;
      return;
    }
    if (done % TELL_EVERY === TELL_EVERY - 1) say(JSON.stringify(counts));
  }
  say(`seed ${seed}, nothing found: ${JSON.stringify(counts)}`);
}

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' }, case: { type: 'string' } },
  allowPositionals: true,
});
const seed = number(values.seed ?? positionals[1] ?? String(Date.now() % 1_000_000));
say(`seed ${seed}`);
if (values.case !== undefined) await fuzz(seed, number(values.case), (done) => done === 0);
else {
  const until = performance.now() + number(positionals[0] ?? '60') * 1000;
  await fuzz(seed, 0, () => performance.now() < until);
}
