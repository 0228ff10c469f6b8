/** What happens below containers that run: layers and revisions change, servers die, and hangs that no signal ends. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { packTree, serveDirectory, serveImageOnFuse, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, DEADLINE_MS, NAME, PATIENCE_MS, type World } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false };

describe('below a running container', () => {
  let dir: TempDir;
  let layers: MadeLayer[];
  let image: PublishedImage;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = [
      `mkdir -p bin etc; echo x > bin/sh; echo 1 > etc/one`,
      `mkdir etc; touch etc/.wh.one; echo 2 > etc/two`,
    ];
    layers = await Promise.all(scripts.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    image = layoutImage(dir, layers);
  });
  afterAll(() => dir.remove());

  async function published(): Promise<string> {
    const root = dir.at(`repository-${crypto.randomUUID()}`);
    mkdirSync(root);
    await publishLayers(repositoryWriter(root), layers);
    setMagic(root, { fqrn: NAME });
    return root;
  }

  function layerfs(root: string, at: number): string {
    const hex = hexOf(layers[at]?.digest ?? image.config);
    return join(root, '.layers', hex.slice(0, 2), hex, 'layerfs');
  }

  async function plain(w: World): Promise<string> {
    await w.store.must(['create', image.url, 'plain']);
    return w.rootfs('plain');
  }

  test('a layer that is collected takes its files away; the container can be deleted, and the next one is whole', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect(readFileSync(join(w.rootfs('box'), 'bin/sh'), 'utf8')).toBe('x\n');
    const layer = join(layerfs(root, 0), '..');
    rmSync(layer, { recursive: true });
    await sh('echo 2 > /proc/sys/vm/drop_caches');
    expect(() => readFileSync(join(w.rootfs('box'), 'bin/sh'))).toThrow(/ENOENT|ESTALE|EIO/);
    const [first] = (await w.sources('box')).map((source) => source.layer);
    const checked = await w.graft(['check', '--json']);
    expect([checked.code, JSON.parse(checked.stdout)]).toEqual([
      1,
      [
        {
          kind: 'image-layer-missing',
          what: 'images/box',
          detail: `layer ${first}: it is gone, or its repository is not mounted`,
          state: 'found',
        },
      ],
    ]);
    expect((await w.graft(['usage'])).stdout).toContain(`box lacks its layer ${first}: it is gone`);
    expect((await w.create(image.url, 'next')).code).toBe(0);
    expect((await w.sources('next')).map(({ source }) => source)).toEqual(['oci', 'cvmfs']);
    expect((await w.graft(['stats', 'box'])).code).toBe(0);
    expect((await w.graft(['delete', 'box'])).code).toBe(0);
    expect(existsSync(join(w.store.path, 'images/box'))).toBe(false);
    expect(compareTrees(await plain(w), w.rootfs('next'), LOST)).toEqual([]);
  });

  test('a layer that is published anew under its name is searched again', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    await w.create(image.url, 'box');
    const tree = layerfs(root, 1);
    writeFileSync(join(tree, '.wh.bin'), '');
    writeFileSync(join(tree, 'added'), '');
    const created = await w.create(image.url, 'next');
    expect(created.stderr).toContain('layer-walked');
    expect(readdirSync(w.rootfs('next')).sort()).toEqual(['added', 'etc']);
  });

  test('each container records the revision that it was made from', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    await w.create(image.url, 'old');
    setMagic(root, { fqrn: NAME, revision: '43', root_hash: 'b'.repeat(40) });
    await w.create(image.url, 'new');
    const revision = async (id: string) => (await w.sources(id))[0]?.cvmfs;
    expect([await revision('old'), await revision('new')]).toMatchObject([
      { revision: '42' },
      { revision: '43', rootHash: 'b'.repeat(40) },
    ]);
  });

  test('a layer that vanishes between probe and mount is fetched instead', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    await w.create(image.url, 'box');
    // Attributes and names stay in the client's cache, as for a minute with the real one: the probe still finds it.
    const layer = join(layerfs(root, 0), '..');
    renameSync(join(layer, 'layerfs'), join(layer, 'gone'));
    mkdirSync(join(layer, 'layerfs'), { mode: 0 });
    rmSync(join(layer, '.metadata'), { recursive: true });
    expect((await w.create(image.url, 'next')).code).toBe(0);
    expect((await w.sources('next'))[0]?.source).toBe('oci');
    expect(compareTrees(await plain(w), w.rootfs('next'), LOST)).toEqual([]);
  });

  test('a dead server does not keep a container from being deleted, nor the next from being made', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    await w.create(image.url, 'box');
    await w.standIn.kill();
    for (const args of [['stats', 'box'], ['list'], ['delete', 'box'], ['clean']]) {
      const ran = await w.graft(args);
      expect([args[0], ran.code]).toEqual([args[0], 0]);
    }
    expect((await w.create(image.url, 'next')).code).toBe(0);
    expect(compareTrees(await plain(w), w.rootfs('next'), LOST)).toEqual([]);
  });

  test('a hung server does not keep a container from being deleted', async () => {
    const root = await published();
    await using w = await cvmfsWorld({ packed: (mount) => serveDirectory(root, mount) });
    await w.create(image.url, 'box');
    w.standIn.stop();
    for (const args of [['stats', 'box'], ['list'], ['delete', 'box'], ['clean']]) {
      const ran = await w.graft(args);
      expect([args[0], ran.code]).toEqual([args[0], 0]);
    }
    w.standIn.resume();
  });

  test('a hang that no signal ends costs one create its deadline, and the next ones nothing', async () => {
    const packed = `${await published()}.sqfs`;
    await packTree(packed.replace(/\.sqfs$/, ''), packed);
    await using w = await cvmfsWorld({
      packed: (mount, own) => serveImageOnFuse(packed, mount, own.at('nested')),
      settings: 'retry_after_hang_s: 0',
      deadlineMs: DEADLINE_MS,
    });
    w.standIn.stop();
    // It ends while the hang lasts.
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box'))[0]?.reason).toContain('no answer within 1500 ms (hang)');
    await w.store.must(['delete', 'box']);
    await w.store.must(['clean']);
    // The process that asked is still there, in a sleep that SIGKILL does not end.
    // Asking again would now take longer than this test may.
    w.setDeadline(PATIENCE_MS);
    expect((await w.create(image.url, 'box')).code).toBe(0);
    const reason = (await w.sources('box'))[0]?.reason ?? '';
    const pid = Number(/process (\d+), which asked, still hangs/.exec(reason)?.[1]);
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') D ');
    w.standIn.resume();
    expect(lstatSync(join(w.rootfs('box'), 'bin/sh')).isFile()).toBe(true);
  });
});
