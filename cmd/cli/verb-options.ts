/** The options of verbs with many options, or with options that several verbs share. */
import { CREATE, JSON_OUTPUT } from './garden-options.ts';
import type { OptionTable } from './options.ts';

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
