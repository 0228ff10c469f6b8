/** Random trees as EROFS images: see `ci/fuzz-images`. COUNT [SEED]: so many seeds from that one on. */
import { writeSync } from 'node:fs';
import { tempDir } from '../support/temp.ts';
import { imageCase } from './image-fuzz.ts';

const [count, seed] = [process.argv[2] ?? '200', process.argv[3] ?? String(Date.now() % 1_000_000)].map(
  Number,
);
if (count === undefined || seed === undefined || Number.isNaN(count + seed))
  throw new Error('COUNT and SEED are numbers');
let wrong = 0;
for (let next = seed; next < seed + count; next += 1) {
  await using dir = tempDir();
  const differences = await imageCase(next, dir.at('case')).catch((error: Error) => [error.message]);
  if (differences.length > 0) {
    wrong += 1;
    writeSync(1, `again: ci/fuzz-images 1 ${next}\n${differences.join('\n')}\n`);
  }
}
writeSync(1, `${count} trees from seed ${seed} on, ${wrong} wrong\n`);
if (wrong > 0) process.exitCode = 1;
