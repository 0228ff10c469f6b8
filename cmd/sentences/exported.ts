/** The answer of `graft export` in words: the result, and what it lacks of the image. */
import type { Exported } from '../../lib/export/export-directory.ts';
import { shortBytes } from './words.ts';

/** More owners than these are not named: a line that nobody reads to its end says nothing. */
const MAX_NAMED = 10;

export function exportedSentences(exported: Exported): string[] {
  const { image, digest, path, layers, entries, fileBytes } = exported;
  const name = digest === undefined ? image : `${image}@${digest}`;
  return [
    `${name}: written to ${path} (${count(layers, 'layer')}, ${count(entries, 'entry')}, ${shortBytes(fileBytes)})`,
    ...lostOwners(exported),
    ...lost(exported.lostSetIdBits, 'set-id bit', 'they would give rights of the user who exports'),
    ...lost(exported.lostCapabilities, 'capability', 'only root may set them'),
    ...lost(exported.skippedDevices, 'device', 'no root filesystem of graft has the devices of an image'),
  ];
}

function lostOwners({ lostOwners, lostIds }: Exported): string[] {
  if (lostOwners === 0) return [];
  const more = lostIds.length > MAX_NAMED ? ', …' : '';
  const ids = `${lostIds.slice(0, MAX_NAMED).join(', ')}${more}`;
  return [
    `the owners of ${count(lostOwners, 'entry')} could not be kept (${ids}): only root may give files away, ` +
      'so all of them belong to the user who exports',
  ];
}

function lost(number: number, what: string, why: string): string[] {
  return number === 0 ? [] : [`left out: ${count(number, what)}, since ${why}`];
}

function count(number: number, noun: string): string {
  const many = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number} ${number === 1 ? noun : many}`;
}
