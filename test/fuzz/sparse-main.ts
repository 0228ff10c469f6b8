/** Sparse files and odd headers, graft beside other readers: see `ci/fuzz-sparse`. COUNT [SEED [FIRST]] */
import { writeSync } from 'node:fs';
import { tempDir } from '../support/temp.ts';
import { noSparseCounts, sparseCase } from './sparse-fuzz.ts';

const [count = 0, seed = 0, first = 0] = [
  process.argv[2] ?? '2000',
  process.argv[3] ?? String(Date.now() % 1_000_000),
  process.argv[4] ?? '0',
].map(Number);
if (Number.isNaN(count + seed + first)) throw new Error('COUNT, SEED and FIRST are numbers');
await using dir = tempDir();
const counts = noSparseCounts();
let wrong = 0;
for (let number = first; number < first + count; number += 1) {
  try {
    await sparseCase(seed, number, dir.at('case'), counts);
  } catch (error) {
    wrong += 1;
    const text = error instanceof Error ? error.message : String(error);
    writeSync(1, `again: ci/fuzz-sparse 1 ${seed} ${number}\n${text}\n`);
  }
}
writeSync(1, `seed ${seed}, ${wrong} wrong: ${JSON.stringify(counts)}\n`);
if (wrong > 0) process.exitCode = 1;
