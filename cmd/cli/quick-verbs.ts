/** The verbs without options that Garden calls most: `stats` for each container every few seconds. */
import { IGNORED, type VerbDefinition } from './options.ts';

export const QUICK_VERBS = {
  delete: {
    summary: 'delete a root filesystem',
    details: 'Deleting one that does not exist succeeds. Layers stay until the next clean.',
    options: {},
    positionals: { names: ['id|image path'], count: 1 },
  },
  stats: {
    summary: 'print the disk usage of a root filesystem as JSON',
    details: '',
    options: {},
    positionals: { names: ['id|image path'], count: 1 },
  },
  capacity: {
    summary: 'print how large the store may grow, as JSON',
    details: 'The store size of the configuration file (init.store_size_bytes), 0 without one.',
    options: {},
    positionals: IGNORED,
  },
} as const satisfies Record<string, VerbDefinition>;
