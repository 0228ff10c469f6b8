/**
 * Publishing about 1 GB from a docker-registry into a directory: `graft publish` against `skopeo copy`, `umoci unpack` and
 * `rsync -a` into the same place, each ended by a sync. Then the same again with nothing new: time, and requests.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { executable } from '../support/graft.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { must, PROJECT } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';
import { type Contestant, machine, race, rounds, say, table } from './harness.ts';
import { largeImage } from './large-image.ts';

const ROUNDS = rounds(2);
const COPIED = 'skopeo copy, umoci unpack, rsync -a; sync -f';
const PUBLISHED = 'graft publish, cold; sync -f';
const AGAIN = 'graft publish, nothing new; sync -f';

if (Bun.which('rsync') === null) await must(`${PROJECT}/ci/install-packages`, ['rsync']);
const image = await largeImage();
await using dir = tempDir(process.env['GRAFT_BENCH_DISK'] ?? '/var/tmp');
await using registry = await startRegistry(dir.at('registry'));
await push(`oci:${image.name}`, `docker://${registry.host}/app:large`);
const reference = `docker://${registry.host}/app:large`;
const [layout, bundle, copy, cold, warm] = ['layout', 'bundle', 'copy', 'cold', 'warm'].map((name) =>
  dir.at(name),
);

function publish(target = ''): string[] {
  return [
    executable(),
    'publish',
    '--insecure-registry',
    registry.host,
    '--to',
    `directory:${target}`,
    reference,
  ];
}

/** Nothing that a round before left to be written, or to be deleted, may be paid for by the next. */
async function settle(): Promise<void> {
  for (const path of [layout, bundle, copy, cold]) {
    if (path === undefined) continue;
    rmSync(path, { recursive: true, force: true });
    if (path === cold || path === copy) mkdirSync(path);
  }
  await must('sync', ['-f', dir.path]);
}

const synced = (script: string) => ['sh', '-ec', `${script}; sync -f "$0"`, dir.path];
const contestants: Contestant[] = [
  {
    name: COPIED,
    before: settle,
    argv: () => [
      ...synced(
        'skopeo copy -q --src-tls-verify=false "$1" "oci:$2:large"; umoci unpack --image "$2:large" "$3"; rsync -a "$3/rootfs/" "$4/"',
      ),
      ...[reference, layout ?? '', bundle ?? '', copy ?? ''],
    ],
  },
  { name: PUBLISHED, before: settle, argv: () => [...synced('"$@"'), ...publish(cold)] },
  { name: AGAIN, argv: () => [...synced('"$@"'), ...publish(warm)] },
];

say(machine());
mkdirSync(warm ?? '');
await must('sh', ['-c', '"$@"', 'sh', ...publish(warm)], { timeoutMs: 600_000 });
const results = await race(contestants, ROUNDS);
say(table(`About 1 GB from a registry; minima of ${ROUNDS} interleaved runs`, results, COPIED));
say(table('With nothing new', results.slice(1), PUBLISHED));
const before = registry.output().length;
await must('sh', ['-c', '"$@"', 'sh', ...publish(warm)]);
const requests =
  registry
    .output()
    .slice(before)
    .match(/"(GET|HEAD) /g)?.length ?? 0;
say(`requests with nothing new: ${requests}`);
