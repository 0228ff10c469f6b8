/** Random trees and layers as EROFS images: see `ci/fuzz-images`. COUNT [SEED]: so many seeds from that one on. */
import { writeSync } from 'node:fs';
import { tempDir } from '../support/temp.ts';
import { imageCase } from './image-fuzz.ts';
import { layerCase, randomLayers, wholeCase } from './layer-image-fuzz.ts';

/** A tree, and layers with everything that layers have. */
async function anyCase(seed: number, directory: string): Promise<string[]> {
  const differences = await imageCase(seed, directory);
  for (const [i, layer] of randomLayers(seed, seed).entries()) {
    differences.push(...(await layerCase(layer, `${directory}-${i}`, HOST)));
    differences.push(...(await wholeCase(layer, `${directory}-${i}`)));
  }
  return differences;
}

const HOST = { uids: [], gids: [] };
const [count, seed] = [process.argv[2] ?? '200', process.argv[3] ?? String(Date.now() % 1_000_000)].map(
  Number,
);
if (count === undefined || seed === undefined || Number.isNaN(count + seed))
  throw new Error('COUNT and SEED are numbers');
let wrong = 0;
for (let next = seed; next < seed + count; next += 1) {
  await using dir = tempDir();
  const differences = await anyCase(next, dir.at('case')).catch((error: Error) => [error.message]);
  if (differences.length > 0) {
    wrong += 1;
    writeSync(1, `again: ci/fuzz-images 1 ${next}\n${differences.join('\n')}\n`);
  }
}
writeSync(1, `${count} seeds from ${seed} on, ${wrong} wrong\n`);
if (wrong > 0) process.exitCode = 1;
