/** A store as a cell has it after months: a thousand layers, five hundred containers on them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeNoiseImage } from '../support/images/noise-image.ts';
import type { CellCommand } from './bosh-cell.ts';
import { queue } from './crowd.ts';

export const IMAGES = 500;
export const LAYERS = 1000;

/** Layers of one image, as many as large ones have. */
const STACK = 20;
const FILE_BYTES = 100;

/** @param dir for the layouts that the layers come from. @throws Error when the store holds less than it should */
export async function fillStore(command: CellCommand, store: string, dir: string): Promise<void> {
  const kinds = LAYERS / STACK;
  const creates: string[][] = [];
  for (let kind = 0; kind < kinds; kind += 1) {
    // No two images have a layer in common: noise-image.ts seeds by position and number of layers, sizes by kind.
    const sizes = Array.from({ length: STACK }, () => FILE_BYTES + kind);
    const { url } = makeNoiseImage(join(dir, `kind-${kind}`), 'full', sizes);
    for (let at = kind; at < IMAGES; at += kinds) creates.push(command('create', url, `full-${at}`));
  }
  await queue(creates);
  const found = [readdirSync(join(store, 'images')).length, readdirSync(join(store, 'volumes')).length];
  if (found[0] !== IMAGES || (found[1] ?? 0) < LAYERS)
    throw new Error(`the store has ${found.join(' images and ')} layers`);
}
