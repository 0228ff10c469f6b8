/** Images of all three generations, mounted through FUSE, start a process under a limit that the kernel enforces. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { formatThinImage } from '../../lib/cvmfs/records.ts';
import { packTree, type StandIn, serveImage, setMagic } from '../support/cvmfs/server.ts';
import { NAME } from '../support/cvmfs/world.ts';
import { graft, graftMust } from '../support/graft.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { must, run, sh } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const MiB = 1024 * 1024;
const LIMIT = 32 * MiB;
const SCRIPTS = [
  'mkdir -p bin etc; cp "$(command -v busybox)" bin/; ln -s busybox bin/sh; ln -s busybox bin/cat; echo 1 > etc/gone',
  'mkdir etc; touch etc/.wh.gone; echo 2 > etc/new',
];
/** What a container is to do: run a program of its own, see what its layers say, and write until there is no room. */
const PROCESS =
  'test -f /etc/new && test ! -e /etc/gone && while cat /bin/busybox; do :; done > /big; exit 7';

interface Stats {
  readonly disk_usage: Readonly<Record<string, number>>;
}

describe('under a limit', () => {
  let dir: TempDir;
  let store: string;
  let extra: string;
  let layers: MadeLayer[];
  let standIn: StandIn;
  let containers = 0;

  beforeAll(async () => {
    // Magic attributes want a filesystem that keeps attributes of users.
    dir = quotaDir();
    layers = await Promise.all(SCRIPTS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    const root = dir.at('repository');
    mkdirSync(root);
    await publishLayers(repositoryWriter(root), layers);
    await publishOld(root);
    setMagic(root, { fqrn: NAME });
    await packTree(root, dir.at('image'));
    standIn = await serveImage(dir.at('image'), dir.at('cvmfs', NAME));
    extra = dir.at('extra.yml');
    const deadline = 'probe_deadline_ms: 60000';
    writeFileSync(extra, `cvmfs:\n  repositories:\n  - path: ${standIn.mount}\n    ${deadline}\n`);
    store = dir.at('store');
    await graftMust(['--store', store, 'init-store']);
  });
  afterAll(async () => {
    await graftMust(['--store', store, 'delete-store']);
    await standIn[Symbol.asyncDispose]();
    await dir.remove();
  });

  /** `images/NAME` as the exporter of 2016 left them, and `layers/HEX` as the graph driver of 2017 did. */
  async function publishOld(root: string): Promise<void> {
    mkdirSync(join(root, 'layers'));
    for (const { digest } of layers) {
      const hex = hexOf(digest);
      const from = join(root, '.layers', hex.slice(0, 2), hex, 'layerfs');
      await sh('cp -a "$1" "$2"; rm "$2/.cvmfscatalog"', [from, join(root, 'layers', hex)]);
    }
    await sh(
      'mkdir images; cp -a "layers/$1" images/box; cp "layers/$2/etc/new" images/box/etc/; rm images/box/etc/gone',
      layers.map(({ digest }) => hexOf(digest)),
      { cwd: root },
    );
  }

  function thinImage(member: string, path: (hex: string) => string): Promise<string> {
    const entries = layers.map(({ digest }) => ({ digest, url: `cvmfs://${NAME}/${path(hexOf(digest))}` }));
    const text = formatThinImage('library/app:v1@https://registry-1.docker.io/v2', entries);
    return makeLayer(dir, `cat > ${member} <<'END'\n${text}\nEND`).then(
      (layer) => layoutImage(dir, [layer]).url,
    );
  }

  interface Container {
    readonly rootfs: string;
    readonly usage: Stats['disk_usage'];
  }

  /** Creates a container, runs the process in it, and says what it came to. */
  async function started(image: string, ...options: string[]): Promise<Container> {
    containers += 1;
    const id = `box-${containers}`;
    const args = ['create', '--disk-limit-size-bytes', String(LIMIT), ...options, image, id];
    const printed = await graftMust(['--store', store, '--extra-config', extra, ...args]);
    const rootfs = (JSON.parse(printed) as { root: { path: string } }).root.path;
    const ran = await run('chroot', [rootfs, '/bin/sh', '-c', PROCESS]);
    expect([ran.code, ran.stderr]).toEqual([7, expect.stringContaining('No space left on device')] as never);
    const { stdout } = await graft(['--store', store, 'stats', id]);
    const list = JSON.parse(await graftMust(['--store', store, 'list', '--json'])) as {
      id: string;
      layers: { source: string }[];
    }[];
    const sources = list.find((one) => one.id === id)?.layers.map(({ source }) => source);
    expect(new Set(sources)).toEqual(new Set(['cvmfs']));
    const { disk_usage: usage } = JSON.parse(stdout) as Stats;
    await graftMust(['--store', store, 'delete', id]);
    return { rootfs, usage };
  }

  const generations: readonly (readonly [
    name: string,
    image: () => Promise<string>,
    counts: 'tar' | 'files',
  ])[] = [
    ['a directory as the exporter of 2016 left it', async () => `cvmfs:///cvmfs/${NAME}/images/box`, 'files'],
    [
      'a thin image as the graph driver of 2017 made it',
      () => thinImage('.thin', (hex) => `layers/${hex}`),
      'files',
    ],
    ['layers as DUCC publishes them', async () => layoutImage(dir, layers).url, 'tar'],
    [
      "DUCC's thin image",
      () => thinImage('thin.json', (hex) => `.layers/${hex.slice(0, 2)}/${hex}/layerfs`),
      'tar',
    ],
  ];
  for (const [name, image, counts] of generations) {
    test(`${name}: beside its layers, and with them`, async () => {
      const url = await image();
      const exclusive = await started(url, '--exclude-image-from-quota');
      expect(exclusive.usage['quota_size_bytes']).toBe(LIMIT);
      const inclusive = await started(url);
      const bytes = await sizeOf(counts);
      expect(inclusive.usage['quota_size_bytes']).toBe(Math.ceil((LIMIT - bytes) / 4096) * 4096);
    });
  }

  async function sizeOf(counts: 'tar' | 'files'): Promise<number> {
    if (counts === 'tar') return layers.reduce((sum, { tar }) => sum + tar.length, 0);
    const hexes = layers.map(({ digest }) => hexOf(digest));
    const text = await must('sh', [
      '-c',
      `cd ${standIn.mount}/layers; find ${hexes.join(' ')} -type f -printf '%s\\n'`,
    ]);
    return text
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + Number(line), 0);
  }
});
