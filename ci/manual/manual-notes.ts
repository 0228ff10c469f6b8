/**
 * The manual's notes on a verb beside its definition: its output, and examples. The examples are commands of one
 * session, in the order of the verbs, and a test runs them so.
 */
import type { Verb } from '../../cmd/cli/definitions.ts';

export interface VerbNotes {
  /** The text on stdout when the verb succeeds. */
  readonly prints: string;
  readonly examples: readonly string[];
}

/** A container that Garden would make: owners of the image become those that Garden maps to. */
const MAPPING =
  '--uid-mapping 0:4294967294:1 --uid-mapping 1:1:4294967293 --gid-mapping 0:4294967294:1 --gid-mapping 1:1:4294967293';

export const NOTES: { readonly [V in Verb]?: VerbNotes } = {
  'init-store': {
    prints:
      'Nothing, or sentences that say why the store cannot have disk limits, and that it keeps another size than was ' +
      'asked for. With `--restore-mounts` the number of root filesystems that were mounted.',
    examples: [
      'graft init-store --store-size-bytes 10737418240',
      'graft init-store --restore-mounts',
      `graft --store /var/lib/graft-unprivileged init-store --store-size-bytes 10737418240 ${MAPPING}`,
    ],
  },
  'delete-store': {
    prints:
      'Nothing; with `--dry-run` a sentence about what would go. A store that is not there is no error; one that graft did not ' +
      'make is refused.',
    examples: [
      'graft --store /var/lib/graft-unprivileged delete-store --dry-run',
      'graft --store /var/lib/graft-unprivileged delete-store',
    ],
  },
  create: {
    prints:
      'One line of JSON: `root.path` is the root filesystem, `process` has environment, directory and user of the ' +
      'image, `mounts` is there with `--without-mount` alone.',
    examples: [
      'graft create docker:///library/busybox:latest plain',
      'graft create --disk-limit-size-bytes 67108864 --exclude-image-from-quota oci:///srv/images:app limited',
      'graft --log-level info create --require-digest --with-clean oci:///srv/images:app cleaned',
    ],
  },
  pull: {
    prints:
      'A line for each image: its reference with its digest, how many layers were fetched, and their size; or why it was not ' +
      'pulled.',
    examples: [
      'graft pull docker://registry.example.com/team/app:1.0',
      'graft pull --keep docker://registry.example.com/team/app:1.0',
    ],
  },
  images: {
    prints:
      'A table, used most recently first; with `--quiet` the references alone; with `--json` one object of version 1 with ' +
      '`images`, `nameless` layers, `reclaimableBytes` and what is `spared`, in bytes.',
    examples: ['graft images', 'graft images --quiet'],
  },
  rmi: {
    prints:
      'A line for each image that was removed, and one with the layers that were deleted and the bytes that were freed.',
    examples: ['graft rmi docker://registry.example.com/team/app:1.0'],
  },
  publish: {
    prints:
      'A line for each image: its public name, how many layers were fetched, and what was not kept; with `--json` one ' +
      'object with a row for each image.',
    examples: [
      'mkdir -p /srv/published',
      'graft publish --to directory:/srv/published docker://registry.example.com/team/app:1.0',
      'graft publish --prune --dry-run --to directory:/srv/published',
    ],
  },
  unpublish: {
    prints:
      'One sentence: the paths that were removed, or that there is no such image; with `--json` the same as JSON.',
    examples: ['graft unpublish --from directory:/srv/published docker://registry.example.com/team/app:1.0'],
  },
  thin: {
    prints: 'One line: the thin image with its digest, and how many layers it names.',
    examples: [
      'graft publish --to directory:/srv/published docker://registry.example.com/team/app:1.0',
      'graft thin --layers-from directory:/srv/published --repository images.example.org docker://registry.example.com/team/app:1.0 oci:/srv/thin:app',
    ],
  },
  publisher: {
    prints: 'The address that it listens on, when it is ready.',
    examples: ['graft --extra-config /etc/graft/publisher.yml publisher'],
  },
  push: {
    prints:
      'One line: the target with its digest, how many blobs were sent, and their size; with `--json` the numbers of blobs ' +
      'that were sent, mounted from another repository and there, and of manifests.',
    examples: ['graft push oci:///srv/images/app:1.0 docker://registry.example.com/team/app:1.0'],
  },
  inspect: {
    prints: 'The image, its layers from the bottom up, and the checks; with `--json` the same as JSON.',
    examples: ['graft inspect --disk-limit-size-bytes 67108864 docker:///library/busybox:latest'],
  },
  export: {
    prints:
      'What was written and where, then a line for each kind of thing that the directory lacks: owners that an ordinary ' +
      'user could not set, set-id bits, capabilities, devices. With `--json` the same as JSON.',
    examples: [
      'graft export oci:///srv/images:app /srv/exported',
      'graft export --tar /srv/app.tar oci:///srv/images:app',
      'graft export --erofs /srv/app.erofs oci:///srv/images:app',
    ],
  },
  commit: {
    prints:
      'The target with the digest of the new manifest, the size of the new layer and its entries, then a line for each of ' +
      'these: sockets and devices that were left out, a container that was read without a snapshot, a configuration that ' +
      'could not be read.',
    examples: [
      'graft commit --message "with data" limited oci:///srv/committed:app',
      `graft commit --squash --change 'CMD ["/bin/sh"]' limited oci:///srv/committed:whole`,
    ],
  },
  run: {
    prints:
      'What the process writes. Sentences of graft go to stderr, and its own failures have exit codes from 125 to 127. With ' +
      '`--keep` the last one tells the id.',
    examples: [
      'graft run --disk-limit-size-bytes 67108864 oci:///srv/images:app -- ls -l /',
      "graft run limited -- sh -c 'id; df -h /'",
    ],
  },
  spec: {
    prints: 'One line of JSON: a runtime specification that is complete.',
    examples: ['graft spec limited -- /bin/sh'],
  },
  config: {
    prints:
      'A line for each fault: file, line, key, what was given and what is allowed; or that nothing is wrong. With `--json` ' +
      'the files that are read and the findings.',
    examples: ['graft --config /etc/graft/graft.yml config check'],
  },
  delete: {
    prints: 'One sentence: that it was deleted, or that there was none.',
    examples: ['graft delete cleaned', 'graft delete cleaned'],
  },
  stats: {
    prints:
      '`disk_usage` with `total_bytes_used` (layers and writes), `exclusive_bytes_used` (writes), `quota_size_bytes` ' +
      '(the limit) and `committed_space_bytes` (layers and limit). Writes are counted where there is a limit.',
    examples: ['graft stats limited'],
  },
  diff: {
    prints:
      'A line for each change, `A`, `M` or `D` with the size and the path, and their sum; with `--json` a list of them.',
    examples: ['graft diff limited'],
  },
  tree: {
    prints:
      'The image, a line for each layer: its digest, packed and unpacked size, how many names it adds (+), changes (~) and ' +
      'hides (-), and who uses it; with `--json` the same as JSON.',
    examples: ['graft tree limited', 'graft tree oci:///srv/images:app'],
  },
  list: {
    prints:
      'On a pipe one path a line; on a terminal a table with what each has written, its limit, the size of its layers, its age ' +
      'and its state: `mounted`, `unmounted` (since a reboot), `caller` (the caller mounts it), `deleting`, `unfinished`. With ' +
      '`--json` also its digest, index and platform, and of each layer where it came from, which hosts gave it and how it was ' +
      'checked (the schema is `docs/json-answers.schema.json`).',
    examples: [
      'graft list',
      'graft list --quiet',
      'graft list --format id,image,limit,state',
      'graft list --json',
    ],
  },
  clean: {
    prints: 'One sentence; with `--dry-run` the layers that would go, and their size.',
    examples: ['graft clean --dry-run', 'graft clean --threshold-bytes 8589934592', 'graft clean'],
  },
  capacity: {
    prints: 'One line of JSON: `capacity` in bytes.',
    examples: ['graft --config /etc/graft/graft.yml capacity'],
  },
  usage: {
    prints: 'A table with bars for people; with `--json` the same numbers in bytes.',
    examples: ['graft usage', 'graft --config /etc/graft/graft.yml usage --json'],
  },
  check: {
    prints: 'What is wrong, one finding a line.',
    examples: ['graft check', 'graft check --repair'],
  },
  doctor: {
    prints:
      'One line for each thing looked at: `ok`, `warning` or `PROBLEM`, and below it what to do. It exits 1 when ' +
      'there is a problem.',
    examples: ['graft --config /etc/graft/graft.yml doctor'],
  },
  completion: {
    prints:
      'The script, for a shell to read; fish looks for it in /etc/fish/completions/graft.fish. It completes verbs, options, log ' +
      'levels, ids of root filesystems and references of images that the store knows.',
    examples: [
      'graft completion bash >/etc/bash_completion.d/graft',
      'graft completion zsh >/usr/local/share/zsh/site-functions/_graft',
    ],
  },
  version: {
    prints: '`graft version` and the number; with `--json` also commit, runtime and kernel features.',
    examples: ['graft version', 'graft version --json'],
  },
  help: { prints: 'The help.', examples: ['graft help', 'graft help create'] },
};

/** The environment variables that a call depends on beside its command line. */
export const ENVIRONMENT: readonly { readonly term: string; readonly text: string }[] = [
  {
    term: 'HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY',
    text: 'proxies for registries, in either case, unless the settings name some.',
  },
  {
    term: 'SSL_CERT_FILE, SSL_CERT_DIR',
    text: "authorities that are trusted instead of the system's.",
  },
  { term: 'PATH', text: 'where `mkfs.xfs` and credential helpers are looked for.' },
  {
    term: 'TERM, NO_COLOR',
    text: 'how a terminal is written to: `TERM=dumb` without redrawing and colours, `NO_COLOR` without colours.',
  },
];

export const FILES: readonly { readonly term: string; readonly text: string }[] = [
  { term: '/var/lib/graft', text: 'the store, unless another one is named.' },
  {
    term: 'CONFIG.d/*.yml',
    text: "beside the file that `--config` names: graft's own settings, read in the order of their names.",
  },
  {
    term: '/etc/containers/registries.conf, /etc/containers/certs.d, /etc/docker/certs.d',
    text: 'mirrors and certificates of registries, as other programs for containers read them.',
  },
];

export const EXIT_STATUS: readonly { readonly term: string; readonly text: string }[] = [
  { term: '0', text: 'done.' },
  { term: '1', text: 'not done; stdout has one sentence that says why and what to do.' },
  { term: '3', text: 'there is no such verb.' },
  { term: '129, 130, 143', text: 'stopped by SIGHUP, SIGINT or SIGTERM; what was begun is undone.' },
];
