/**
 * A cold pull against `skopeo copy` with `umoci unpack`, and against `podman pull` into overlay storage: one
 * docker-registry, one XFS, each side ended by a sync, the trees compared before a time counts. Then the
 * same through a relay that holds every answer back, as a registry that is some way off does.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { umociRootfs } from '../support/images/images.ts';
import { startServer } from '../support/programs/server.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { must, PROJECT, run } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { tempDir } from '../support/temp.ts';
import { type Contestant, machine, race, rounds, say, table } from './harness.ts';
import { pullImage } from './pull-image.ts';

const ROUNDS = rounds(3);
const GiB = 1024 ** 3;
const RELAY_MS = 20;

if (Bun.which('podman') === null) await must(join(PROJECT, 'ci/install-packages'), ['podman', 'crun']);

const image = await pullImage();
await using dir = tempDir();
await using registry = await startRegistry(dir.at('registry'), { quiet: true });
await push(`oci:${image.name}`, `docker://${registry.host}/app:large`);
const relayed = await startServer(
  [process.execPath, join(import.meta.dir, 'relay.ts'), String(registry.port), String(RELAY_MS)],
  { cwd: dir.path, ports: [], says: /listening on \d+/ },
);
const relay = `127.0.0.1:${/listening on (\d+)/.exec(relayed.output())?.[1]}`;
await using store = await testStore({ bytes: 12 * GiB });
const disk = join(store.path, '..');
const layout = join(disk, 'layout');
const bundle = join(disk, 'bundle');
const podman = [
  ...['podman', '--root', join(disk, 'podman'), '--runroot', dir.at('run'), '--tmpdir', dir.at('run/tmp')],
  ...['--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
];

/** Nothing that a round before left to be written, or to be deleted, may be paid for by the next. */
async function settle(): Promise<void> {
  await run('sh', ['-c', '"$@" rmi --all --force', 'sh', ...podman]);
  for (const path of [bundle, layout]) rmSync(path, { recursive: true, force: true });
  await store.must(['clean']);
  await must('sync', ['-f', disk]);
}

async function checkTrees(): Promise<void> {
  const reference = `docker://${registry.host}/app:large`;
  await store.must(['create', '--insecure-registry', registry.host, reference, 'compared'], {
    timeoutMs: 600_000,
  });
  const mine = join(store.path, 'images/compared/rootfs');
  const ignore = { ignoreXattrs: ['user.rootlesscontainers'] };
  const differences = compareTrees(mine, await umociRootfs(image, bundle), ignore);
  const name = `${registry.host}/app:large`;
  await must('sh', ['-c', '"$@"', 'sh', ...podman, 'pull', '-q', '--tls-verify=false', name], {
    timeoutMs: 600_000,
  });
  const theirs = (await must('sh', ['-c', '"$@"', 'sh', ...podman, 'image', 'mount', name])).trim();
  differences.push(...compareTrees(mine, theirs, ignore));
  await must('sh', ['-c', '"$@"', 'sh', ...podman, 'image', 'umount', name]);
  await store.must(['delete', 'compared']);
  // The layers say nothing about the root itself, so each makes its own.
  const real = differences.filter((difference) => !difference.startsWith('/: '));
  if (real.length > 0)
    throw new Error(`the trees differ, so no time counts:\n${real.slice(0, 50).join('\n')}`);
}

const SKOPEO = 'skopeo copy, umoci unpack; sync -f';
const PODMAN = 'podman pull; sync -f';

function contestants(host: string): Contestant[] {
  const sync = (script: string) => ['sh', '-ec', `${script}; sync -f "$0"`];
  return [
    {
      name: SKOPEO,
      before: settle,
      argv: () => [
        ...sync(
          'skopeo copy -q --src-tls-verify=false "$1" "oci:$2:large"; umoci unpack --image "$2:large" "$3"',
        ),
        ...[disk, `docker://${host}/app:large`, layout, bundle],
      ],
    },
    {
      name: PODMAN,
      before: settle,
      argv: () => [...sync('"$@"'), disk, ...podman, 'pull', '-q', '--tls-verify=false', `${host}/app:large`],
    },
    {
      name: 'graft pull, cold; sync -f',
      before: settle,
      argv: () => [
        ...sync('"$@"'),
        ...[
          disk,
          executable(),
          '--store',
          store.path,
          'pull',
          '--insecure-registry',
          host,
          `docker://${host}/app:large`,
        ],
      ],
    },
  ];
}

say(machine());
await checkTrees();
for (const [how, host] of [
  ['next door', registry.host],
  [`${RELAY_MS} ms away`, relay],
] as const) {
  const results = await race(contestants(host), ROUNDS);
  const title = `Eight layers of 40 MB, gzip, from a registry ${how}; minima of ${ROUNDS} interleaved runs; the trees are the same`;
  say(table(title, results, SKOPEO));
  say(table('The same against podman', results.slice(1), PODMAN));
}
await relayed.stop();
