/** Stores with a mapping: a CVMFS mount of their own, or an idmapped clone of a plain directory. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packTree, serveImage, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, PATIENCE_MS, type World } from '../support/cvmfs/world.ts';
import { executable } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { cleanEnv, must, run, runPrivately, sh } from '../support/shell.ts';
import { INIT, ROOT } from '../support/stores/garden-mapping.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false };

describe('a store with a mapping', () => {
  let dir: TempDir;
  let layers: MadeLayer[];
  let image: PublishedImage;
  let tree: string;
  let packed: string;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = [
      `mkdir -p bin etc home/app; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; chown -R 1000:1000 home/app`,
      `mkdir -p etc; touch etc/.wh.one; echo 2 > etc/two; chown 3:4 etc/two; chmod 0750 etc`,
    ];
    layers = await Promise.all(scripts.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    image = layoutImage(dir, layers);
    tree = dir.at('repository');
    mkdirSync(tree);
    await publishLayers(repositoryWriter(tree), layers);
    setMagic(tree, { fqrn: NAME });
    packed = `${tree}.sqfs`;
    await packTree(tree, packed);
  });
  afterAll(() => dir.remove());

  /** What a client with CVMFS_UID_MAP and CVMFS_GID_MAP `0 4294967294` shows. */
  async function packMapped(): Promise<string> {
    const copy = dir.at(`mapped-${crypto.randomUUID()}`);
    await sh(
      `cp -a "$1" "$2"; find "$2" -uid 0 -exec chown -h ${ROOT} {} +; find "$2" -gid 0 -exec chgrp -h ${ROOT} {} +
       find "$2" -path '*/layerfs/bin/sh' -exec chmod 4755 {} +`,
      [tree, copy],
    );
    setMagic(copy, { fqrn: NAME });
    await packTree(copy, `${copy}.sqfs`);
    return `${copy}.sqfs`;
  }

  async function plain(w: World): Promise<string> {
    await w.store.must(['create', image.url, 'plain']);
    return w.rootfs('plain');
  }

  function ownerOf(w: World, name: string): [number, number] {
    const stat = lstatSync(join(w.rootfs('box'), name));
    return [stat.uid, stat.gid];
  }

  test('uses a mount of its own, whose client maps the ids', async () => {
    await using w = await cvmfsWorld({ packed, init: INIT });
    const mapped = w.store.dir.at('mapped', NAME);
    await using _ = await serveImage(await packMapped(), mapped);
    const mounts = `mounts: [{store: ${w.store.path}, path: ${mapped}}]\n    probe_deadline_ms: ${PATIENCE_MS}`;
    writeFileSync(w.extra, `cvmfs:\n  repositories:\n  - path: ${w.standIn.mount}\n    ${mounts}\n`);
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    expect([ownerOf(w, 'bin'), ownerOf(w, 'etc'), ownerOf(w, 'home/app'), ownerOf(w, 'etc/two')]).toEqual([
      [ROOT, ROOT],
      [ROOT, ROOT],
      [1000, 1000],
      [3, 4],
    ]);
    expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
    // The overlay must be gone before the file system below it.
    await w.store.must(['delete', 'box']);
  });

  test('fetches the layers when it has no mount of its own, and says why', async () => {
    await using w = await cvmfsWorld({ packed, init: INIT });
    expect((await w.create(image.url, 'box')).code).toBe(0);
    const [first] = await w.sources('box');
    expect(first).toMatchObject({
      source: 'oci',
      reason: expect.stringMatching(/belong to 0, and root of .* is 4294967294/),
    } as never);
    expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
  });

  describe('and a plain directory', () => {
    async function directoryWorld(path: (w: World) => Promise<string>): Promise<World> {
      const w = await cvmfsWorld({ packed, init: INIT });
      const settings = `  - path: ${await path(w)}\n    name: replica\n    type: directory\n    probe_deadline_ms: ${PATIENCE_MS}\n`;
      writeFileSync(w.extra, `cvmfs:\n  repositories:\n${settings}`);
      return w;
    }

    async function sees(w: World): Promise<void> {
      expect((await w.create(image.url, 'box')).code).toBe(0);
      expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
      // One clone, of the repository's root, for both layers.
      const stacks = join(w.store.path, 'meta/stacks');
      const plans = readdirSync(stacks).map((name) => JSON.parse(readFileSync(join(stacks, name), 'utf8')));
      expect(plans).toMatchObject([{ idmapRoots: [w.store.dir.at('replica')] }]);
      expect([ownerOf(w, 'bin'), ownerOf(w, 'etc'), ownerOf(w, 'home/app')]).toEqual([
        [ROOT, ROOT],
        [ROOT, ROOT],
        [1000, 1000],
      ]);
      expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
      // What the container writes belongs to its own ids, and nothing reaches the directory.
      writeFileSync(join(w.rootfs('box'), 'etc/two'), 'changed');
      await w.store.must(['delete', 'box']);
      expect(mountPointsBelow(join(w.store.path, 'images')).filter((point) => point.includes('box'))).toEqual(
        [],
      );
    }

    test('on a disk reads it through an idmapped clone', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        await sh('cp -a "$1" "$2"', [tree, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      await sees(w);
      expect(lstatSync(w.store.dir.at('replica')).uid).toBe(0);
    });

    test('in a squashfs reads it through an idmapped clone', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        mkdirSync(store.dir.at('replica'));
        await must('mount', ['-o', 'loop,ro', '-t', 'squashfs', packed, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      await sees(w);
    });

    test('on a filesystem that allows no idmapped mounts fetches the layers', async () => {
      await using w = await directoryWorld(async ({ standIn }) => standIn.mount);
      const created = await w.create(image.url, 'box');
      expect(created.code).toBe(0);
      expect(created.stderr).toContain('cvmfs-mount-failed');
      expect((await w.sources('box')).map(({ source }) => source)).toEqual(['oci', 'oci']);
      expect(compareTrees(await plain(w), w.rootfs('box'), LOST)).toEqual([]);
    });

    test('fetches the layers where somebody else will mount', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        await sh('cp -a "$1" "$2"', [tree, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      expect((await w.create(image.url, 'box', '--without-mount')).code).toBe(0);
      expect((await w.sources('box'))[0]?.reason).toContain('whoever mounts the container cannot do that');
    });

    test('starts no process for the mapping of a second container', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        await sh('cp -a "$1" "$2"', [tree, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      await w.create(image.url, 'first');
      const words = ['--store', w.store.path, '--extra-config', w.extra, 'create', image.url, 'box'];
      // Without unshare(1) nobody can make another user namespace.
      const script = `mount --bind /bin/false /usr/bin/unshare; "$@"; stat -c %u "${w.rootfs('box')}/bin"`;
      const created = await runPrivately('/bin/sh', ['-euc', script, 'sh', executable(), ...words]);
      expect(created).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`${ROOT}\\n$`)) });
      expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    });

    test('stays whole when a create is killed with its clone attached, and a clean removes the clone', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        await sh('cp -a "$1" "$2"', [tree, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      await w.create(image.url, 'first');
      const images = join(w.store.path, 'images');
      const words = ['--store', w.store.path, '--extra-config', w.extra, 'create', image.url];
      const calls = w.store.dir.at('calls');
      const faulty = (id: string, fault: string) =>
        run(executable('graft-faults'), [...words, id], { env: cleanEnv({ GRAFT_FAULT: fault }) });
      expect((await faulty('counted', `count:${calls}`)).code).toBe(0);
      const lines = readFileSync(calls, 'utf8').trim().split('\n');
      const [, attached] = JSON.parse(lines.find((line) => line.includes('"move_mount"')) ?? '[]');
      await faulty('killed', `kill:main:${attached}`);
      const ofKilled = () => mountPointsBelow(images).filter((point) => point.includes('/killed/'));
      expect(ofKilled()).toEqual([w.rootfs('killed')]);
      const before = await sh('find "$1" | sort', [w.store.dir.at('replica')]);
      await w.store.must(['clean']);
      expect(ofKilled()).toEqual([]);
      expect(readdirSync(images).sort()).toEqual(['counted', 'first']);
      expect(await sh('find "$1" | sort', [w.store.dir.at('replica')])).toBe(before);
      expect(await w.store.must(['check'])).toBe('Nothing is wrong.\n');
    });

    test('mounts again after a reboot', async () => {
      await using w = await directoryWorld(async ({ store }) => {
        await sh('cp -a "$1" "$2"', [tree, store.dir.at('replica')]);
        return store.dir.at('replica');
      });
      await w.create(image.url, 'box');
      await sh('while mountpoint -q "$1"; do umount "$1"; done', [w.rootfs('box')]);
      await w.store.must(['init-store', '--restore-mounts', ...INIT]);
      expect(ownerOf(w, 'bin')).toEqual([ROOT, ROOT]);
    });
  });
});
