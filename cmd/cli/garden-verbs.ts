/** The verbs that Garden and GrootFS's jobs call, thousands of times a day: their definitions are all that such a call loads. */
import { CREATE, INIT_STORE, THRESHOLD } from './garden-options.ts';
import { IGNORED, NOTHING, type VerbDefinition } from './options.ts';
import { QUICK_VERBS } from './quick-verbs.ts';

export const GARDEN_VERBS = {
  ...QUICK_VERBS,
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
  clean: {
    summary: 'delete layers that no root filesystem uses',
    details: 'Layers in use are never touched. One clean runs at a time; another one says so and succeeds.',
    options: {
      ...THRESHOLD,
      'dry-run': { type: 'boolean', description: 'only say what would be deleted' },
    },
    positionals: IGNORED,
  },
} as const satisfies Record<string, VerbDefinition>;
