/** Random trees, packed as EROFS images and read again by the kernel and by fsck.erofs. */
import { mkdirSync } from 'node:fs';
import { packImage } from '../../lib/layer/pack/pack-image.ts';
import { compareImage } from '../support/images/erofs.ts';
import { changeRandomly } from '../support/images/random-changes.ts';

/** @param directory a new one, which the caller removes. @returns the differences between tree and image */
export async function imageCase(seed: number, directory: string): Promise<string[]> {
  mkdirSync(directory);
  const tree = `${directory}/tree`;
  mkdirSync(tree);
  changeRandomly(tree, seed, 100 + (seed % 7) * 100);
  await packImage(tree, `${directory}/image`, { signal: new AbortController().signal, modes: new Map() });
  return compareImage(tree, `${directory}/image`, `${directory}/mounted`);
}
