/** Whether overlays over a repository can be written is tried once a boot, before the first container of it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, PATIENCE_MS, type World } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { must, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false };
const CANNOT = /an overlay over it cannot be written: .*\(unusable_layer\)$/;

describe('the first overlay of a boot', () => {
  let dir: TempDir;
  let image: PublishedImage;
  let tree: string;
  let packed: string;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = ['mkdir -p bin etc; echo x > bin/sh', 'mkdir etc; echo 1 > etc/one'];
    const layers = await Promise.all(
      scripts.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')),
    );
    image = layoutImage(dir, layers);
    tree = dir.at('repository');
    mkdirSync(tree);
    await publishLayers(repositoryWriter(tree), layers);
    setMagic(tree, { fqrn: NAME });
    packed = `${tree}.sqfs`;
    await packTree(tree, packed);
  });
  afterAll(() => dir.remove());

  /** What is remembered of the trials: file name and text. */
  function trials(w: World): [string, string][] {
    const locks = join(w.store.path, 'locks');
    const names = readdirSync(locks).filter((name) => name.startsWith('cvmfs-overlay.'));
    return names.map((name) => [join(locks, name), readFileSync(join(locks, name), 'utf8')]);
  }

  async function sourcesOf(w: World, id: string): Promise<(readonly [string, string | undefined])[]> {
    expect((await w.create(image.url, id)).code).toBe(0);
    return (await w.sources(id)).map(({ source, reason }) => [source, reason] as const);
  }

  test('is a trial that leaves nothing but its result', async () => {
    await using w = await cvmfsWorld({ packed });
    expect((await sourcesOf(w, 'box')).map(([source]) => source)).toEqual(['cvmfs', 'cvmfs']);
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    expect(trials(w).map(([, text]) => text)).toEqual([`${boot}\n`]);
    expect(readdirSync(join(w.store.path, 'tmp'))).toEqual([]);
    expect(await w.store.must(['check'])).toBe('Nothing is wrong.\n');
  });

  test('where the kernel cannot, all layers are fetched, the reason is remembered, and forgotten at the next boot', async () => {
    await using w = await cvmfsWorld({ packed });
    // Overlays over overlays over overlays are more than the kernel stacks (FILESYSTEM_MAX_STACK_DEPTH): EINVAL.
    const { dir: own } = w.store;
    await sh('cp -a "$1" "$2"', [tree, own.at('replica')]);
    const levels = ['replica', 'once', 'twice'].map((name) => own.at(name));
    mkdirSync(own.at('empty'));
    for (const [below = '', above = ''] of [levels.slice(0, 2), levels.slice(1)]) {
      mkdirSync(above);
      const lowers = `lowerdir=${own.at('empty')}:${below}`;
      await must('mount', ['-t', 'overlay', '-o', `ro,${lowers}`, 'overlay', above]);
    }
    const entry = `{path: ${own.at('twice')}, type: directory, probe_deadline_ms: ${PATIENCE_MS}}`;
    writeFileSync(w.extra, `cvmfs: {repositories: [${entry}]}\n`);
    const fetched = ['oci', expect.stringMatching(CANNOT)] as never;
    expect(await sourcesOf(w, 'one')).toEqual([fetched, fetched]);
    const [[path, text] = ['', '']] = trials(w);
    expect(text).toMatch(/^\S+\nan overlay over it cannot be written: .*(EINVAL|[Ii]nvalid argument)/);

    // What an earlier boot said holds no more; what this one said does, also when it has become wrong.
    for (const id of ['one', 'two']) await w.store.graft(['delete', id]);
    await w.store.must(['clean']);
    await must('umount', [own.at('twice')]);
    await must('mount', ['--bind', own.at('replica'), own.at('twice')]);
    expect(await sourcesOf(w, 'two')).toEqual([fetched, fetched]);
    await w.store.must(['delete', 'two']);
    await w.store.must(['clean']);
    writeFileSync(path, text.replace(/^\S+/, '00000000-0000-0000-0000-000000000000'));
    expect((await sourcesOf(w, 'three')).map(([source]) => source)).toEqual(['cvmfs', 'cvmfs']);
    await w.store.must(['create', image.url, 'plain']);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('three'), LOST)).toEqual([]);
  });
});
