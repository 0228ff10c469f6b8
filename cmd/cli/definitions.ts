/**
 * The table of all verbs, options and arguments, from which both parsers, the help, the completion and the manual are made.
 * The verbs and options of GrootFS (July 2026) have its names and types, so that Garden's calls and operators' scripts
 * work unchanged. graft adds `--extra-config`,
 * `--metrics-file`, `--restore-mounts`, `--require-digest`, `--dry-run`, `--json`, `--repair` and some verbs.
 */
import type { GLOBAL_OPTIONS } from './global-options.ts';
import type { OptionTable, OptionValues, PositionalDefinition, VerbDefinition } from './options.ts';

const NOTHING: PositionalDefinition = { names: [], count: 0 };
const IGNORED: PositionalDefinition = { names: [], count: 'ignored' };
const JSON_OUTPUT = {
  type: 'boolean',
  description: 'print JSON instead of text',
} as const;

const MAPPING = { type: 'list', placeholder: 'CONTAINER:HOST:SIZE' } as const;

const INIT_STORE = {
  'uid-mapping': { ...MAPPING, description: 'map user ids of layers to the host (may be repeated)' },
  'gid-mapping': { ...MAPPING, description: 'map group ids of layers to the host (may be repeated)' },
  'store-size-bytes': {
    type: 'int64',
    placeholder: 'BYTES',
    configKey: 'init.store_size_bytes',
    description: 'make the store on a sparse XFS loop file of this size beside it',
  },
  'with-direct-io': {
    type: 'boolean',
    configKey: 'init.with_direct_io',
    description: 'direct I/O on the loop device of the store',
  },
  'restore-mounts': {
    type: 'boolean',
    description: 'mount the root filesystems of existing images again, after a reboot',
  },
} as const satisfies OptionTable;

const CREATE = {
  'disk-limit-size-bytes': {
    type: 'int64',
    placeholder: 'BYTES',
    default: '0 (no limit)',
    configKey: 'create.disk_limit_size_bytes',
    description: 'disk limit, layers included unless --exclude-image-from-quota',
  },
  'exclude-image-from-quota': {
    type: 'boolean',
    configKey: 'create.exclude_image_from_quota',
    description: "limit only the container's own writes",
  },
  'insecure-registry': {
    type: 'list',
    placeholder: 'HOST[:PORT]',
    configKey: 'create.insecure_registries',
    description: 'registry without verified TLS or with plain HTTP (may be repeated)',
  },
  'skip-layer-validation': {
    type: 'boolean',
    configKey: 'create.skip_layer_validation',
    description: 'do not verify size and digest of the layers of oci: images',
  },
  'require-digest': {
    type: 'boolean',
    description: 'refuse registry images that are not pinned by digest',
  },
  'with-clean': {
    type: 'boolean',
    configKey: 'create.with_clean',
    description: 'clean up unused layers afterwards, in the background',
  },
  'without-clean': { type: 'boolean', description: 'do not clean up afterwards (the default)' },
  'threshold-bytes': {
    type: 'int64',
    placeholder: 'BYTES',
    configKey: 'clean.threshold_bytes',
    description: 'threshold of that clean',
  },
  'clean-log-file': {
    type: 'string',
    placeholder: 'FILE',
    configKey: 'create.clean_log_file',
    description: 'log file of that clean',
  },
  'with-mount': { type: 'boolean', description: 'mount the root filesystem (the default)' },
  'without-mount': {
    type: 'boolean',
    configKey: 'create.without_mount',
    description: 'do not mount; print the mount for the caller instead',
  },
  username: { type: 'string', placeholder: 'NAME', description: 'user name for the registry' },
  password: { type: 'string', placeholder: 'PASSWORD', description: 'password for the registry' },
} as const satisfies OptionTable;

const {
  username,
  password,
  'insecure-registry': INSECURE,
  'skip-layer-validation': SKIP_VALIDATION,
  'require-digest': REQUIRE_DIGEST,
} = CREATE;
const SOURCE = {
  'insecure-registry': INSECURE,
  'skip-layer-validation': SKIP_VALIDATION,
  'require-digest': REQUIRE_DIGEST,
  username,
  password,
} as const satisfies OptionTable;

const THRESHOLD = {
  'threshold-bytes': {
    type: 'int64',
    placeholder: 'BYTES',
    default: '0 (always clean)',
    configKey: 'clean.threshold_bytes',
    description: 'do nothing while committed quota and layers together are below this',
  },
} as const satisfies OptionTable;

export const VERBS = {
  'init-store': {
    summary: 'make a store, or mount it again',
    details:
      'On a directory of an XFS filesystem mounted with prjquota, or with --store-size-bytes on a loop file of ' +
      'its own. Running it again does no harm. Mappings belong to the store and cannot be changed later.',
    options: INIT_STORE,
    positionals: NOTHING,
  },
  'delete-store': {
    summary: 'delete a store with everything in it',
    details:
      'Unmounts and deletes all images and layers, and the loop file that init-store made beside the store.',
    options: {},
    positionals: IGNORED,
  },
  create: {
    summary: 'make a root filesystem from an image',
    details:
      'IMAGE is docker://[HOST[:PORT]]/NAME[:TAG][@DIGEST], oci:///DIRECTORY[:REF], cvmfs:///cvmfs/REPOSITORY/… ' +
      'or the path of a tar file. Prints a fragment of an OCI runtime specification as JSON.',
    options: CREATE,
    positionals: { names: ['image', 'id'], count: 2 },
  },
  pull: {
    summary: 'fetch the layers of an image into the store',
    details: 'A later create of the same image then needs no network for its layers.',
    options: SOURCE,
    positionals: { names: ['image'], count: 1 },
    rare: true,
  },
  inspect: {
    summary: 'show what an image consists of, without fetching its layers',
    details:
      'Prints the manifest digest, the configuration, for every layer its size and where it would come from, and ' +
      'whether a create would pass its checks. Takes nothing into the store but the manifest.',
    options: {
      'disk-limit-size-bytes': CREATE['disk-limit-size-bytes'],
      'exclude-image-from-quota': CREATE['exclude-image-from-quota'],
      ...SOURCE,
      json: JSON_OUTPUT,
    },
    positionals: { names: ['image'], count: 1 },
    rare: true,
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
  list: {
    summary: 'list the root filesystems of the store',
    details: '',
    options: { json: JSON_OUTPUT },
    positionals: IGNORED,
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
  usage: {
    summary: 'show where the disk space of the store went',
    details: 'Per image and layer: exclusive, shared, reclaimable; and when the next clean would act.',
    options: { json: JSON_OUTPUT },
    positionals: NOTHING,
    rare: true,
  },
  check: {
    summary: 'look for damage in the store',
    details: 'Exits 0 when nothing is wrong. Reading every layer takes as long as reading the disk.',
    options: {
      repair: { type: 'boolean', description: 'drop what is damaged, keep everything else' },
      json: JSON_OUTPUT,
    },
    positionals: NOTHING,
    rare: true,
  },
  doctor: {
    summary: 'check this machine, the configuration and the store',
    details: 'Says for every problem what to do. Changes nothing.',
    options: { json: JSON_OUTPUT },
    positionals: NOTHING,
    rare: true,
  },
  'generate-volume-size-metadata': {
    summary: 'measure the layers of the store again',
    details: "Called by GrootFS's BOSH jobs at start.",
    options: {},
    positionals: NOTHING,
    hidden: true,
  },
  completion: {
    summary: 'print a completion script for bash or zsh',
    details: 'Add it to your shell: graft completion bash > /etc/bash_completion.d/graft',
    options: {
      words: { type: 'boolean', hidden: true, description: 'print what fits at the end of the given words' },
    },
    positionals: { names: ['bash|zsh'], count: 'ignored' },
    rare: true,
  },
  version: { summary: 'print the version', details: '', options: {}, positionals: IGNORED },
  help: {
    summary: 'print help for graft or a verb',
    details: '',
    options: {},
    positionals: { names: ['verb'], count: [0, 1] },
    rare: true,
  },
} as const satisfies Record<string, VerbDefinition>;

export { GLOBAL_OPTIONS } from './global-options.ts';

export type Verb = keyof typeof VERBS;
export type GlobalValues = OptionValues<typeof GLOBAL_OPTIONS>;
export type VerbValues<V extends Verb> = OptionValues<(typeof VERBS)[V]['options']>;

export function isVerb(word: string): word is Verb {
  return Object.hasOwn(VERBS, word);
}

/** `stats [options] <id|image path>`, as GrootFS words it in its errors. */
export function usageOf(verb: Verb): string {
  const names = VERBS[verb].positionals.names.map((name) => ` <${name}>`).join('');
  return `${verb}${Object.keys(VERBS[verb].options).length > 0 || names !== '' ? ' [options]' : ''}${names}`;
}
