/** The verbs that fill, show and empty the cache of images. */
import { JSON_OUTPUT } from './garden-options.ts';
import type { OptionTable, VerbDefinition } from './options.ts';
import { NO_TRUNC, SOURCE } from './verb-options.ts';

const IMAGES = {
  quiet: { type: 'boolean', description: 'print the references alone' },
  'no-trunc': NO_TRUNC,
  json: JSON_OUTPUT,
} as const satisfies OptionTable;

const PULL = {
  keep: {
    type: 'boolean',
    description: 'no clean deletes the layers until graft rmi removes the image',
  },
  file: {
    type: 'string',
    valueName: 'LIST',
    description: 'pull the images of this file, one reference a line, several at a time',
  },
  ...SOURCE,
} as const satisfies OptionTable;

export const CACHE_VERBS = {
  pull: {
    summary: 'fetch the layers of an image into the store',
    details:
      'A later create of the same image then needs no network for its layers. With --file an image that cannot be pulled ' +
      'keeps none of the others back, and the exit code is 1 then.',
    options: PULL,
    positionals: { names: ['image'], count: [0, 1] },
    rare: true,
  },
  images: {
    summary: 'show the images whose layers are cached',
    details:
      'Says of each its size on the disk, the part that no other image needs, when a create or a pull last used it, and why ' +
      'no clean takes it.',
    options: IMAGES,
    positionals: { names: [], count: 0 },
    rare: true,
  },
  rmi: {
    summary: 'delete an image from the cache',
    details:
      'IMAGE is a reference or a digest of graft images. Deletes the layers that nothing else needs; refused while a root ' +
      'filesystem or a create uses the image, and says which.',
    options: {},
    positionals: { names: ['image'], count: 1 },
    rare: true,
  },
} as const satisfies Record<string, VerbDefinition>;
