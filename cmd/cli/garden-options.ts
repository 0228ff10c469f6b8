/** The options of verbs that Garden and GrootFS's jobs call: a call of these loads no others. */
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

export const THRESHOLD = {
  'threshold-bytes': {
    type: 'int64',
    valueName: 'SIZE',
    default: '0 (always clean)',
    configKey: 'clean.threshold_bytes',
    description: 'do nothing while committed quota and layers together are below this',
  },
} as const satisfies OptionTable;
