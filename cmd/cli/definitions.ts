/**
 * The table of all verbs, options and arguments, from which both parsers, the help, the completion and the manual are made.
 * The verbs and options of GrootFS (July 2026) have its names and types, so that Garden's calls and operators' scripts
 * work unchanged. graft adds `--extra-config`,
 * `--metrics-file`, `--restore-mounts`, `--require-digest`, `--dry-run`, `--json`, `--repair` and some verbs.
 */
import { CACHE_VERBS } from './cache-verbs.ts';
import { CREATE, JSON_OUTPUT } from './garden-options.ts';
import { GARDEN_VERBS } from './garden-verbs.ts';
import type { GLOBAL_OPTIONS } from './global-options.ts';
import { IGNORED, NOTHING, type OptionValues, usageLine, type VerbDefinition } from './options.ts';
import { PUBLISH_VERBS } from './publish-verbs.ts';
import { COMMIT, LIST, NO_TRUNC, PUSH, RUN, SOURCE, SPEC } from './verb-options.ts';

export const VERBS = {
  'init-store': GARDEN_VERBS['init-store'],
  'delete-store': {
    summary: 'delete a store with everything in it',
    details:
      'Unmounts and deletes all images and layers, and the loop file that init-store made beside the store. On a terminal it ' +
      'says what that is and asks first.',
    options: {
      'dry-run': { type: 'boolean', description: 'only say what would be deleted' },
      yes: { type: 'boolean', description: 'do not ask' },
    },
    positionals: IGNORED,
  },
  create: GARDEN_VERBS.create,
  ...CACHE_VERBS,
  push: {
    summary: 'send an image of an OCI layout to a registry',
    details:
      'LAYOUT is oci:///DIRECTORY[:REF], TARGET is docker://HOST[:PORT]/NAME[:TAG]. Sends only what the registry lacks, an ' +
      'index with all images that it lists, and the name last. Needs no store.',
    options: PUSH,
    positionals: { names: ['layout', 'target'], count: 2 },
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
      'no-trunc': NO_TRUNC,
      json: JSON_OUTPUT,
    },
    positionals: { names: ['image'], count: 1 },
    rare: true,
  },
  ...PUBLISH_VERBS,
  export: {
    summary: 'write a root filesystem as directory, tar or EROFS image',
    details:
      'Merges the layers into DIRECTORY, which must not exist or be empty, with owners, modes, times, extended attributes ' +
      'and hard links; or into one file, which has the same bytes each time: with --tar an archive, with --erofs a ' +
      'filesystem that the kernel mounts read-only. Needs no store. The result ' +
      'appears when it is complete; a failure leaves nothing. An ordinary user cannot give files away: everything then ' +
      'belongs to that user, and the answer says what was lost.',
    options: {
      tar: { type: 'string', valueName: 'FILE', description: 'write a tar archive instead of a directory' },
      erofs: {
        type: 'string',
        valueName: 'FILE',
        description: 'write an EROFS image instead of a directory',
      },
      ...SOURCE,
      json: JSON_OUTPUT,
    },
    positionals: { names: ['image', 'directory'], count: [1, 2] },
    rare: true,
  },
  commit: {
    summary: 'make an image of a root filesystem',
    details:
      'Writes what the container has changed as a layer on the layers of its image. TARGET is an OCI layout, ' +
      'oci:/DIRECTORY:REF, or a registry, docker://HOST/NAME:TAG, to which --username and --password then belong. The ' +
      'container may run meanwhile. --change takes CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR.',
    options: COMMIT,
    positionals: { names: ['id|image path', 'target'], count: 2 },
    rare: true,
  },
  run: {
    summary: 'run a process in a root filesystem, for debugging',
    details:
      'Makes a root filesystem of IMAGE, or takes the one with this ID, and starts the command, or the one of the image, ' +
      'with runc: as the user, with the environment and in the directory that the image names, and with a terminal where ' +
      'there is one. Passes signals on. Deletes afterwards what it made. The exit code is that of the process; 125 where ' +
      'graft or the runtime fails, 126 where the command cannot be executed, 127 where it is not there.',
    options: RUN,
    positionals: { names: ['image|id', '-- command…'], count: 'ignored' },
    rare: true,
  },
  spec: {
    summary: 'print a whole runtime specification for a root filesystem',
    details:
      'For runc or another runtime: the process as the image says, or with the given command, and the namespaces, mounts ' +
      'and capabilities with which graft run starts it. Save it as config.json in a directory: the bundle.',
    options: SPEC,
    positionals: { names: ['id|image path', '-- command…'], count: 'ignored' },
    rare: true,
  },
  delete: GARDEN_VERBS.delete,
  stats: GARDEN_VERBS.stats,
  diff: {
    summary: 'show what a container has changed',
    details:
      'A line for each name that was added (A), modified (M) or deleted (D), with the size of files. A directory that only ' +
      'holds changes is none itself. The container may run meanwhile.',
    options: { json: JSON_OUTPUT },
    positionals: { names: ['id|image path'], count: 1 },
    rare: true,
  },
  tree: {
    summary: 'show the layers of an image, and who shares them',
    details:
      'Says of each layer how many names it adds, changes and hides, from the bottom up, where the store has it. IMAGE may also be the id of a root filesystem, and then nothing ' +
      'is asked of a registry.',
    options: { ...SOURCE, 'no-trunc': NO_TRUNC, json: JSON_OUTPUT },
    positionals: { names: ['image|id'], count: 1 },
    rare: true,
  },
  list: {
    summary: 'list the root filesystems of the store',
    details:
      'On a terminal a table; on a pipe one path a line, as GrootFS prints them. The fields of --format are id, image, size, ' +
      'limit, layers, created, state, digest and path; it prints them with tabulators between, and sizes in bytes.',
    options: LIST,
    positionals: IGNORED,
  },
  clean: GARDEN_VERBS.clean,
  capacity: GARDEN_VERBS.capacity,
  usage: {
    summary: 'show where the disk space of the store went',
    details: 'Per image and layer: exclusive, shared, reclaimable; and when the next clean would act.',
    options: { 'no-trunc': NO_TRUNC, json: JSON_OUTPUT },
    positionals: NOTHING,
    rare: true,
  },
  check: {
    summary: 'look for damage in the store',
    details: 'Exits 0 when nothing is wrong. Reading every layer takes as long as reading the disk.',
    options: {
      repair: { type: 'boolean', description: 'drop what is damaged, keep everything else' },
      policy: {
        type: 'boolean',
        description:
          'instead of damage, list containers and cached images that the policy for signatures would refuse today',
      },
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
  config: {
    summary: 'check the settings, all of them at once',
    details:
      'config check reads what a call with the same --config and --extra-config reads, and names every unknown key, value ' +
      'that cannot be, file, directory or helper that is not there, and file that is not read. Exits 1 for a problem.',
    options: { json: JSON_OUTPUT },
    positionals: { names: ['check'], count: 1 },
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
    summary: 'print a completion script for bash, zsh or fish',
    details: 'Add it to your shell: graft completion bash > /etc/bash_completion.d/graft',
    options: {
      words: { type: 'boolean', hidden: true, description: 'print what fits at the end of the given words' },
    },
    positionals: { names: ['bash|zsh|fish'], count: 'ignored' },
    rare: true,
  },
  version: {
    summary: 'print the version',
    details: 'With --json also the commit, the runtime, and what the kernel of this machine offers.',
    options: { json: JSON_OUTPUT },
    positionals: IGNORED,
  },
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
  return usageLine(verb, VERBS[verb]);
}
