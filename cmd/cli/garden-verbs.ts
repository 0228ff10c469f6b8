/** The verbs that Garden and GrootFS's jobs call, thousands of times a day: their definitions are all that such a call loads. */
import { CREATE, INIT_STORE, THRESHOLD } from './garden-options.ts';
import { IGNORED, NOTHING, type VerbDefinition } from './options.ts';

export const GARDEN_VERBS = {
  'init-store': {
    summary: 'make a store, or mount it again',
    details:
      'On a directory of an XFS filesystem mounted with prjquota, or with --store-size-bytes on a loop file of ' +
      'its own. Running it again does no harm. Mappings belong to the store and cannot be changed later.',
    options: INIT_STORE,
    positionals: NOTHING,
  },
  create: {
    summary: 'make a root filesystem from an image',
    details:
      'IMAGE is docker://[HOST[:PORT]]/NAME[:TAG][@DIGEST], oci:///DIRECTORY[:REF], cvmfs:///cvmfs/REPOSITORY/…, ' +
      'docker-archive:/FILE[:NAME], oci-archive:/FILE[:REF], aci:/FILE or the path of a tar file. ' +
      'Prints a fragment of an OCI runtime specification as JSON.',
    options: CREATE,
    positionals: { names: ['image', 'id'], count: 2 },
  },
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
  clean: {
    summary: 'delete layers that no root filesystem uses',
    details: 'Layers in use are never touched. One clean runs at a time; another one says so and succeeds.',
    options: {
      ...THRESHOLD,
      'dry-run': { type: 'boolean', description: 'only say what would be deleted' },
    },
    positionals: IGNORED,
  },
  capacity: {
    summary: 'print how large the store may grow, as JSON',
    details: 'The store size of the configuration file (init.store_size_bytes), 0 without one.',
    options: {},
    positionals: IGNORED,
  },
} as const satisfies Record<string, VerbDefinition>;
