/** Containers of published layers, by the program as it is shipped; each fault ends in a container all the same. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import {
  cvmfsWorld,
  DEADLINE_MS,
  NAME,
  PATIENCE_MS,
  type World,
  type WorldOptions,
} from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import type { Ran } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

/** Hard links are files of their own once published, and a filesystem image keeps no nanoseconds. */
const LOST = { linkCounts: false, directoryTimes: true };

/** Three layers with deletions of every kind. */
const LAYERS = [
  `mkdir -p bin etc/deep home/app a/b tmp; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one
   echo 2 > etc/deep/two; echo 3 > a/b/three; chown -R 1000:1000 home/app; ln -s bin usr; echo gone > gone`,
  `mkdir -p etc a new; touch .wh.gone etc/.wh.one a/.wh.b; echo 4 > etc/four; chmod 0711 etc; echo 5 > new/five`,
  `mkdir -p etc/deep new; touch etc/deep/.wh..wh..opq new/.wh.nothing; echo 6 > etc/deep/six; chown 5:6 etc/deep`,
];

describe('create', () => {
  let dir: TempDir;
  let layers: MadeLayer[];
  let image: PublishedImage;
  let packed: string;

  beforeAll(async () => {
    dir = tempDir();
    layers = await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    image = layoutImage(dir, layers);
    packed = await pack(layers, {});
  });
  afterAll(() => dir.remove());

  /** A repository with these layers, as a filesystem image. */
  async function pack(
    published: readonly MadeLayer[],
    magic: Record<string, string>,
    change: (root: string) => void = () => undefined,
  ): Promise<string> {
    const root = dir.at(`repository-${crypto.randomUUID()}`);
    await publishLayers(repositoryWriter(root), published);
    change(root);
    setMagic(root, { fqrn: NAME, ...magic });
    await packTree(root, `${root}.sqfs`);
    return `${root}.sqfs`;
  }

  function directoryOf(root: string, layer: MadeLayer | undefined): string {
    const hex = hexOf(layer?.digest ?? image.config);
    return join(root, '.layers', hex.slice(0, 2), hex);
  }

  /** A store, this image's repository and settings for it. */
  function world(options: Partial<WorldOptions> = {}): Promise<World> {
    return cvmfsWorld({ packed, ...options });
  }

  function create(w: World, id: string): Promise<Ran> {
    return w.create(image.url, id);
  }

  /** The same image from its layout alone. */
  async function plain(w: World): Promise<string> {
    await w.store.must(['create', image.url, 'plain']);
    return w.rootfs('plain');
  }

  test('uses published layers where they are, and the tree is that of the registry', async () => {
    await using w = await world();
    const created = await create(w, 'box');
    expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs', 'cvmfs']);
    const volumes = readdirSync(join(w.store.path, 'volumes'));
    expect(volumes.filter((name) => !/\.(shim|mask)$/.test(name))).toEqual([]);
    const rootfs = await plain(w);
    expect(compareTrees(rootfs, w.rootfs('box'), LOST)).toEqual([]);
    expect(existsSync(join(w.rootfs('box'), 'gone'))).toBe(false);
    expect(readdirSync(join(w.rootfs('box'), 'etc/deep'))).toEqual(['six']);
  });

  test('records where each layer came from', async () => {
    await using w = await world();
    await create(w, 'box');
    const [first] = await w.sources('box');
    expect(first).toEqual({
      checked: 'in-place',
      layer: directoryOf(w.standIn.mount, layers[0]).concat('/layerfs'),
      diffId: expect.stringMatching(/^sha256:/),
      digest: layers[0]?.digest,
      source: 'cvmfs',
      reason: `published in ${NAME}`,
      cvmfs: { repository: NAME, revision: '42', rootHash: expect.stringMatching(/^0123456789abcdef/) },
    } as never);
  });

  test('mixes published layers with fetched ones', async () => {
    await using w = await world({ packed: await pack(layers.slice(0, 2), {}) });
    expect((await create(w, 'box')).code).toBe(0);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs', 'oci']);
    expect((await w.sources('box'))[2]?.reason).toBe(`not published in ${NAME}`);
    expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
  });

  test('the second create walks nothing, and clean takes what the deleted containers used', async () => {
    await using w = await world();
    expect((await create(w, 'one')).stderr).toContain('layer-walked');
    expect((await create(w, 'two')).stderr).not.toContain('layer-walked');
    for (const id of ['one', 'two']) await w.store.must(['delete', id]);
    expect(readdirSync(join(w.store.path, 'volumes')).length).toBeGreaterThan(0);
    await w.store.must(['clean']);
    expect(readdirSync(join(w.store.path, 'volumes'))).toEqual([]);
    expect(readdirSync(join(w.store.path, 'meta/published'))).toEqual([]);
    expect((await create(w, 'three')).code).toBe(0);
    expect(await w.store.must(['check'])).toBe('Nothing is wrong.\n');
  });

  test('a repository that is off for the image is not asked', async () => {
    await using w = await world({ settings: 'registries: ["!oci:", "*"]' });
    const created = await create(w, 'box');
    expect([created.code, created.stderr]).toEqual([0, expect.stringContaining('"layers":{"oci":3}')]);
    // The paths of this test have the word, too.
    expect(created.stderr).not.toMatch(/"message":"[^"]*cvmfs/);
  });

  /** Every one of these ends in a container from the image's own source that is like any other. */
  interface Fault {
    readonly name: string;
    readonly reason: RegExp;
    readonly settings?: string;
    readonly deadlineMs?: number;
    /** Changes the repository before it is packed. */
    readonly change?: (root: string) => void;
    readonly magic?: Record<string, string>;
    /** Happens to the running server. */
    readonly happens?: (w: World) => Promise<void> | void;
    /** Layers that still come from the repository. */
    readonly kept?: number;
  }

  const faults: readonly Fault[] = [
    {
      name: 'its server hangs',
      deadlineMs: DEADLINE_MS,
      reason: /no answer within 1500 ms \(hang\)/,
      happens: ({ standIn }) => standIn.stop(),
    },
    {
      name: 'its server is dead',
      reason: /ENOTCONN\) \(io_error\)/,
      happens: ({ standIn }) => standIn.kill(),
    },
    {
      name: 'its image is cut',
      reason: /io_error|not_mounted/,
      happens: ({ standIn }) => standIn.truncate(4096),
    },
    {
      name: 'it is not mounted',
      reason: /nothing is mounted there \(not_mounted\)/,
      happens: ({ standIn }) => standIn[Symbol.asyncDispose](),
    },
    {
      name: 'its directory is not there',
      reason: /ENOENT\) \(not_mounted\)/,
      happens: async ({ standIn }) => {
        await standIn[Symbol.asyncDispose]();
        rmSync(standIn.mount, { recursive: true });
      },
    },
    {
      name: 'another repository is mounted',
      reason: /serves other\.example, not/,
      magic: { fqrn: 'other.example' },
    },
    { name: 'no client is mounted', reason: /no attribute user\.fqrn/, magic: { fqrn: '' } },
    { name: 'the client has no revision', reason: /user\.revision is ""/, magic: { revision: '' } },
    { name: 'it must be pinned and is not', reason: /follows new revisions/, settings: 'revision: fixed' },
    {
      name: 'it is pinned to another root hash',
      reason: /is at root hash/,
      settings: `revision: ${'a'.repeat(40)}`,
      magic: { expires: 'never (fixed root catalog)' },
    },
    {
      name: 'the client just had an error',
      reason: /input\/output error \d+ s ago/,
      magic: { nioerr: '1', timestamp_last_ioerr: String(Math.floor(Date.now() / 1000)) },
      settings: 'io_error_window_s: 3600',
    },
    {
      name: 'a layer is half published',
      reason: /without its tree layerfs \(half_published\)/,
      change: (root) => rmSync(join(directoryOf(root, layers[0]), 'layerfs'), { recursive: true }),
      kept: 2,
    },
    {
      name: 'a layer has the record of another',
      reason: /its record says that it is .* \(wrong_record\)/,
      change: (root) =>
        renameSync(
          join(directoryOf(root, layers[1]), '.metadata/layers.json'),
          join(directoryOf(root, layers[0]), '.metadata/layers.json'),
        ),
      kept: 2,
    },
    {
      name: 'the record of a layer is cut',
      reason: /cannot be read: it is not JSON \(wrong_record\)/,
      change: (root) => writeFileSync(join(directoryOf(root, layers[0]), '.metadata/layers.json'), '[{"id"'),
      kept: 2,
    },
    {
      name: 'the diffID of a layer is another',
      reason: /the image says sha256:/,
      change: (root) => {
        const path = join(directoryOf(root, layers[0]), '.metadata/layers.json');
        writeFileSync(path, readFileSync(path, 'utf8').replace(/("diff-digest": "sha256:)..../, '$10000'));
      },
      kept: 2,
    },
    {
      name: 'a layer has a marker without a name',
      reason: /a whiteout without a name.* \(unusable_layer\)/,
      change: (root) => writeFileSync(join(directoryOf(root, layers[0]), 'layerfs/etc/.wh.'), ''),
      kept: 2,
    },
  ];

  for (const fault of faults) {
    test(`falls back when ${fault.name}`, async () => {
      const image =
        fault.change || fault.magic ? await pack(layers, fault.magic ?? {}, fault.change) : packed;
      const { settings = '', deadlineMs = PATIENCE_MS } = fault;
      await using w = await world({ packed: image, settings, deadlineMs });
      await fault.happens?.(w);
      // It ends while the fault lasts, without waiting for what may never come.
      const created = await create(w, 'box');
      expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
      const sources = await w.sources('box');
      const kept = fault.kept ?? 0;
      expect(sources.map(({ source }) => source).sort()).toEqual([
        ...Array<string>(kept).fill('cvmfs'),
        ...Array<string>(3 - kept).fill('oci'),
      ]);
      expect(sources.find(({ source }) => source === 'oci')?.reason).toMatch(fault.reason);
      expect(created.stderr).toContain('layer-not-on-cvmfs');
      expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
      w.standIn.resume();
      await w.store.must(['delete', 'box']);
    });
  }

  test('fails with one sentence when the configuration does not fall back on a doubt', async () => {
    await using w = await world({ settings: 'fall_back_on: [not_mounted]' });
    await w.standIn.kill();
    const created = await create(w, 'box');
    expect(created.code).toBe(1);
    expect(created.stdout).toMatch(
      new RegExp(
        `^layer sha256:\\w+ in the CVMFS repository ${NAME} cannot be used: .*ENOTCONN.*\\(io_error\\).*\\n$`,
      ),
    );
    expect(readdirSync(join(w.store.path, 'images'))).toEqual([]);
  });

  test('asks a repository that hung only once for a while', async () => {
    await using w = await world({ settings: 'retry_after_hang_s: 3600', deadlineMs: DEADLINE_MS });
    w.standIn.stop();
    await create(w, 'one');
    await w.store.must(['delete', 'one']);
    await w.store.must(['clean']);
    // Asking again would now take longer than this test may.
    w.setDeadline(PATIENCE_MS);
    expect((await create(w, 'two')).code).toBe(0);
    expect((await w.sources('two'))[0]?.reason).toMatch(/it did not answer \d+ s ago/);
    w.standIn.resume();
  });

  test('leaves the repository alone', async () => {
    await using w = await world();
    mkdirSync(w.store.dir.at('bundle'));
    await create(w, 'box');
    writeFileSync(join(w.rootfs('box'), 'etc/four'), 'changed');
    rmSync(join(w.rootfs('box'), 'bin/sh'));
    await w.store.must(['delete', 'box']);
    await w.store.must(['clean']);
    expect(readFileSync(join(directoryOf(w.standIn.mount, layers[1]), 'layerfs/etc/four'), 'utf8')).toBe(
      '4\n',
    );
  });
});
