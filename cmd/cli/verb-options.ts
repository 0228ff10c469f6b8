/** The options of verbs with many options, or with options that several verbs share. */
import type { OptionTable } from './options.ts';

export const JSON_OUTPUT = {
  type: 'boolean',
  description: 'print JSON instead of text',
} as const;

const MAPPING = { type: 'list', valueName: 'CONTAINER:HOST:SIZE' } as const;

export const INIT_STORE = {
  'uid-mapping': { ...MAPPING, description: 'map user ids of layers to the host (may be repeated)' },
  'gid-mapping': { ...MAPPING, description: 'map group ids of layers to the host (may be repeated)' },
  'store-size-bytes': {
    type: 'int64',
    valueName: 'SIZE',
    configKey: 'init.store_size_bytes',
    description: 'make the store on a sparse XFS loop file of this size beside it',
  },
  'with-direct-io': {
    type: 'boolean',
    configKey: 'init.with_direct_io',
    description: 'direct I/O on the loop device of the store',
  },
  layers: {
    type: 'string',
    valueName: 'KIND',
    default: 'as before; directories for a new store',
    description:
      'write new layers as directories or as images (EROFS); auto: images where the kernel reads them from their files',
  },
  'restore-mounts': {
    type: 'boolean',
    description: 'mount the root filesystems of existing images again, after a reboot',
  },
} as const satisfies OptionTable;

export const CREATE = {
  'disk-limit-size-bytes': {
    type: 'int64',
    valueName: 'SIZE',
    default: '0 (no limit)',
    configKey: 'create.disk_limit_size_bytes',
    description: 'disk limit, layers included unless --exclude-image-from-quota',
  },
  'exclude-image-from-quota': {
    type: 'boolean',
    configKey: 'create.exclude_image_from_quota',
    description: "limit only the container's own writes",
  },
  'inode-limit': {
    type: 'int64',
    valueName: 'N',
    description: 'the most files, directories and other inodes, counted like the disk limit; 0: no limit',
  },
  'insecure-registry': {
    type: 'list',
    valueName: 'HOST[:PORT]',
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
    valueName: 'SIZE',
    configKey: 'clean.threshold_bytes',
    description: 'threshold of that clean',
  },
  'clean-log-file': {
    type: 'string',
    valueName: 'FILE',
    configKey: 'create.clean_log_file',
    description: 'log file of that clean',
  },
  'with-mount': { type: 'boolean', description: 'mount the root filesystem (the default)' },
  'without-mount': {
    type: 'boolean',
    configKey: 'create.without_mount',
    description: 'do not mount; print the mount for the caller instead',
  },
  username: { type: 'string', valueName: 'NAME', description: 'user name for the registry' },
  password: { type: 'string', valueName: 'PASSWORD', description: 'password for the registry' },
  'password-stdin': {
    type: 'boolean',
    description: 'read the password from standard input, where no list of processes shows it',
  },
} as const satisfies OptionTable;

const {
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
  'insecure-registry': INSECURE,
  'skip-layer-validation': SKIP_VALIDATION,
  'require-digest': REQUIRE_DIGEST,
} = CREATE;
export const SOURCE = {
  'insecure-registry': INSECURE,
  'skip-layer-validation': SKIP_VALIDATION,
  'require-digest': REQUIRE_DIGEST,
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
} as const satisfies OptionTable;

export const PUSH = {
  'insecure-registry': INSECURE,
  'mount-from': {
    type: 'list',
    valueName: 'HOST[:PORT]/NAME',
    description: 'repository of the same registry that may have the blobs already (may be repeated)',
  },
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
  json: JSON_OUTPUT,
} as const satisfies OptionTable;

export const THRESHOLD = {
  'threshold-bytes': {
    type: 'int64',
    valueName: 'SIZE',
    default: '0 (always clean)',
    configKey: 'clean.threshold_bytes',
    description: 'do nothing while committed quota and layers together are below this',
  },
} as const satisfies OptionTable;

const TO_TARGETS = {
  keep: {
    type: 'string',
    valueName: 'DAYS',
    default: '30',
    description: 'how long layers are kept whose image has gone, or whose tag has moved',
  },
  'dry-run': { type: 'boolean', description: 'only say what would be fetched, published and removed' },
  'cvmfs-server': {
    type: 'string',
    valueName: 'PROGRAM',
    default: 'cvmfs_server',
    description: "the release manager's tool, for cvmfs: targets",
  },
  scratch: {
    type: 'string',
    valueName: 'DIR',
    default: '/var/tmp',
    description: 'where layers for cvmfs: targets are unpacked',
  },
  json: JSON_OUTPUT,
} as const satisfies OptionTable;

export const PUBLISH = {
  to: {
    type: 'string',
    valueName: 'TARGET',
    description: 'where to publish: directory:/PATH or cvmfs:REPOSITORY',
  },
  name: {
    type: 'string',
    valueName: 'REGISTRY/REPOSITORY:TAG',
    description: 'the public name, which an image from files needs',
  },
  'wish-list': {
    type: 'string',
    valueName: 'FILE',
    description: 'the images of this list, which may say the target too',
  },
  prune: {
    type: 'boolean',
    description: 'publish nothing, and remove layers that no image of the target needs',
  },
  ...TO_TARGETS,
  'insecure-registry': INSECURE,
  'require-digest': REQUIRE_DIGEST,
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
} as const satisfies OptionTable;

export const UNPUBLISH = {
  from: { type: 'string', valueName: 'TARGET', description: 'directory:/PATH or cvmfs:REPOSITORY' },
  ...TO_TARGETS,
} as const satisfies OptionTable;

export const THIN = {
  'layers-from': {
    type: 'string',
    valueName: 'TARGET',
    description: 'where the image is published: directory:/PATH or cvmfs:REPOSITORY',
  },
  repository: {
    type: 'string',
    valueName: 'NAME',
    description: 'the repository that clients find the layers in, for a directory',
  },
  form: {
    type: 'string',
    valueName: 'FORM',
    description: 'ducc, or graphdriver for the Docker graph driver of 2017 (default ducc)',
  },
  'insecure-registry': INSECURE,
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
} as const satisfies OptionTable;

export const COMMIT = {
  squash: { type: 'boolean', description: 'one layer of the whole tree, without the layers of the image' },
  message: { type: 'string', valueName: 'TEXT', description: "comment in the image's history" },
  author: { type: 'string', valueName: 'TEXT', description: 'author of the image' },
  change: {
    type: 'texts',
    valueName: 'INSTRUCTION',
    description: 'change of the configuration, \'CMD ["a", "b"]\' for one (may be repeated)',
  },
  'insecure-registry': INSECURE,
  username,
  password,
  'password-stdin': PASSWORD_STDIN,
} as const satisfies OptionTable;

const CONTAINER = {
  'host-network': {
    type: 'boolean',
    description: "the process uses the host's network instead of none",
  },
} as const satisfies OptionTable;

/** The standard input of `run` belongs to its process. */
const { 'password-stdin': _, ...RUN_SOURCE } = SOURCE;

export const RUN = {
  'disk-limit-size-bytes': CREATE['disk-limit-size-bytes'],
  'exclude-image-from-quota': CREATE['exclude-image-from-quota'],
  ...CONTAINER,
  runtime: {
    type: 'string',
    valueName: 'PROGRAM',
    default: 'runc',
    description: 'the container runtime, a name in PATH or a path',
  },
  id: {
    type: 'string',
    valueName: 'ID',
    description: 'the id of the root filesystem that is made of an image',
  },
  keep: { type: 'boolean', description: 'do not delete the root filesystem that was made of an image' },
  ...RUN_SOURCE,
} as const satisfies OptionTable;

export const SPEC = {
  ...CONTAINER,
  terminal: { type: 'boolean', description: 'the process gets a terminal' },
} as const satisfies OptionTable;

export const NO_TRUNC = {
  type: 'boolean',
  description: 'do not shorten names and digests on a terminal',
} as const;

export const LIST = {
  quiet: { type: 'boolean', description: 'print the ids alone' },
  format: {
    type: 'string',
    valueName: 'FIELDS',
    description: 'print these fields, with tabulators between them',
  },
  'no-trunc': NO_TRUNC,
  json: JSON_OUTPUT,
} as const satisfies OptionTable;
