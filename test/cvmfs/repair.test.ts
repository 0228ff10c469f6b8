/** Owners and capabilities that publishing lost, and what the policy of a repository makes of it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PublishOptions } from '../support/cvmfs/publish.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, PATIENCE_MS, type World } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layerOf,
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { sh } from '../support/shell.ts';
import { INIT } from '../support/stores/garden-mapping.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false };

describe('what publishing lost', () => {
  let dir: TempDir;
  let image: PublishedImage;
  let packed: string;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = [
      `mkdir -p bin home/app etc; echo x > bin/sh; chmod 4755 bin/sh; ln bin/sh bin/other; ln -s sh bin/link
       echo c > bin/ping; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 bin/ping
       echo y > home/app/file; chown -hR 1000:1000 home/app bin/link; mkfifo etc/pipe; chown 5:6 etc/pipe`,
      `mkdir -p etc; echo z > etc/new; touch etc/.wh.pipe bin 2>/dev/null; rm -f bin; mkdir -p deep/er; echo 1 > deep/er/f`,
    ];
    const layers = await Promise.all(
      scripts.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')),
    );
    image = layoutImage(dir, layers);
    packed = await pack(image.layers);
  });
  afterAll(() => dir.remove());

  async function pack(
    layers: readonly MadeLayer[],
    keepOwners = false,
    changes: Partial<PublishOptions> = {},
  ): Promise<string> {
    const root = dir.at(`repository-${crypto.randomUUID()}`);
    mkdirSync(root);
    await publishLayers(repositoryWriter(root, { keepOwners, ...changes }), layers);
    setMagic(root, { fqrn: NAME });
    await packTree(root, `${root}.sqfs`);
    return `${root}.sqfs`;
  }

  async function differences(w: World): Promise<string[]> {
    await w.store.must(['create', image.url, 'plain']);
    // A file with two names is published as two files, of which only those that are repaired are one again.
    return compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST).filter(
      (line) => !line.includes('linked together'),
    );
  }

  test('sends the layer to its source', async () => {
    await using w = await cvmfsWorld({ packed });
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box'))[0]).toMatchObject({
      source: 'oci',
      reason: expect.stringMatching(/all its files belong to 497.*\(lost_metadata\)/),
    } as never);
    expect(await differences(w)).toEqual([]);
  });

  test('is accepted where the policy says so', async () => {
    await using w = await cvmfsWorld({ packed, settings: 'lost_metadata: {owners: accept}' });
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box'))[0]?.source).toBe('cvmfs');
    expect(lstatSync(join(w.rootfs('box'), 'home/app')).uid).toBe(497);
  });

  test('is repaired from the source: owners, links, capabilities, the root itself', async () => {
    await using w = await cvmfsWorld({ packed, settings: 'lost_metadata: {owners: repair}' });
    const created = await w.create(image.url, 'box');
    expect([created.code, created.stderr.includes('layer-repaired')]).toEqual([0, true]);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    expect(await differences(w)).toEqual([]);
    // Read once: the next container finds it.
    const again = await w.create(image.url, 'again');
    expect([again.code, again.stderr.includes('layer-repaired')]).toEqual([0, false]);
    for (const id of ['box', 'again', 'plain']) await w.store.must(['delete', id]);
    await w.store.must(['clean']);
    expect(readdirSync(join(w.store.path, 'volumes'))).toEqual([]);
  });

  test('is repaired where the owners are kept and only a capability is gone, and nothing else is copied', async () => {
    const kept = await pack(image.layers, true);
    await using w = await cvmfsWorld({ packed: kept, settings: 'lost_metadata: {capabilities: repair}' });
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect(await differences(w)).toEqual([]);
    const files = await sh(`find "$1" -path '*.mask/fs/*' -type f -printf '%f\\n'`, [
      join(w.store.path, 'volumes'),
    ]);
    expect(files).toBe('ping\n');
  });

  test('is repaired in the ids of a store with a mapping', async () => {
    const root = dir.at('replica');
    mkdirSync(root);
    await publishLayers(repositoryWriter(root, { keepOwners: true }), image.layers);
    await using w = await cvmfsWorld({ packed, init: INIT });
    const entry = `{path: ${root}, type: directory, probe_deadline_ms: ${PATIENCE_MS}, lost_metadata: {capabilities: repair}}`;
    writeFileSync(w.extra, `cvmfs: {repositories: [${entry}]}\n`);
    expect((await w.create(image.url, 'box')).code).toBe(0);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    expect(await differences(w)).toEqual([]);
  });

  test('is too much to repair: the layer is fetched', async () => {
    const large = await makeLayer(dir, 'mkdir bin; truncate -s 70M bin/big; echo x > bin/x');
    const other = layoutImage(dir, [large]);
    const settings = 'lost_metadata: {owners: repair}';
    await using w = await cvmfsWorld({ packed: await pack([large]), settings });
    expect((await w.create(other.url, 'box')).code).toBe(0);
    expect(await w.sources('box')).toMatchObject([
      {
        source: 'oci',
        reason: expect.stringMatching(/cannot be repaired: it would copy more than 67108864 bytes/),
      },
    ] as never);
  });

  test('cannot be repaired from a source that has something else: its mask is not kept', async () => {
    await using w = await cvmfsWorld({ packed, settings: 'lost_metadata: {owners: repair}' });
    const [first] = image.manifest.layers;
    const blob = join(image.url.slice('oci://'.length), 'blobs', (first?.digest ?? '').replace(':', '/'));
    const bytes = readFileSync(blob);
    writeFileSync(blob, Buffer.concat([bytes.subarray(0, bytes.length - 1), Buffer.from([255])]));
    try {
      const created = await w.create(image.url, 'box');
      expect(created.code).toBe(1);
      expect(created.stderr).toContain('could not be read from the image');
      const kept = readdirSync(join(w.store.path, 'volumes'));
      expect(kept.filter((name) => name.startsWith(first?.digest.slice(7, 19) ?? '-'))).toEqual([]);
    } finally {
      writeFileSync(blob, bytes);
    }
  });

  /** @param tool for most of these tars a program that unpacks them: the ingest command aborts */
  async function createFrom(layer: MadeLayer, tool: PublishOptions['tool'] = 'unpack'): Promise<World> {
    const other = layoutImage(dir, [layer]);
    const unpacked = await pack([layer], false, { tool });
    const w = await cvmfsWorld({ packed: unpacked, settings: 'lost_metadata: {owners: repair}' });
    expect((await w.create(other.url, 'box')).code).toBe(0);
    await w.store.must(['create', other.url, 'plain']);
    return w;
  }

  test('takes the last of several entries with one name', async () => {
    const at = { mtime: 1_500_000_000, uid: 7 };
    const layer = layerOf(
      tar([
        { name: './', type: '5', ...at },
        { name: 'dir/', type: '5', ...at, mode: 0o700 },
        { name: 'dir/file', content: 'first', ...at, mode: 0o600 },
        { name: 'dir/file', content: 'last', ...at, mode: 0o644 },
        { name: 'dir/link', type: '1', link: 'dir/file', ...at },
        { name: 'dir/file', type: '1', link: 'dir/file', ...at },
        { name: 'became', type: '2', link: 'dir/file', ...at },
        { name: 'became/', type: '5', ...at, mode: 0o750 },
        { name: 'was/', type: '5', ...at },
        { name: 'was/in', content: 'gone', ...at },
        { name: 'was', content: 'a file', ...at, mode: 0o640 },
      ]),
    );
    await using w = await createFrom(layer);
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs']);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
  });

  test('is not repaired where the target of a hard link is gone', async () => {
    const at = { mtime: 1_500_000_000, uid: 7 };
    const layer = layerOf(
      tar([
        { name: './', type: '5', ...at },
        { name: 'dir/file', content: 'x', mode: 0o644, ...at },
        { name: 'kept', type: '1', link: 'dir/file', ...at },
        { name: 'dir', content: 'a file', mode: 0o644, ...at },
      ]),
    );
    await using w = await createFrom(layer);
    expect(await w.sources('box')).toMatchObject([
      { source: 'oci', reason: expect.stringContaining('replaces the target of a hard link') },
    ] as never);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
  });

  test('is not repaired where a hard link comes before its target', async () => {
    const at = { mtime: 1_500_000_000, uid: 7 };
    const layer = layerOf(
      tar([
        { name: './', type: '5', ...at },
        { name: 'kept', type: '1', link: 'file', mtime: 1_500_000_000 },
        { name: 'file', content: 'x', mode: 0o600, ...at },
      ]),
    );
    await using w = await createFrom(layer, 'ingest');
    expect(await w.sources('box')).toMatchObject([
      { source: 'oci', reason: expect.stringContaining('a hard link of its tar comes before its target') },
    ] as never);
    expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
  });

  const throughLinks: readonly (readonly [what: string, later: readonly EntrySpec[]])[] = [
    ['links', []],
    ['links that a later entry replaces', [{ name: 'lib', content: 'z', mtime: 1_500_000_000, uid: 7 }]],
  ];
  for (const [what, later] of throughLinks) {
    test(`is not repaired through ${what}`, async () => {
      const at = { mtime: 1_500_000_000, uid: 7 };
      const layer = layerOf(
        tar([
          { name: './', type: '5', ...at },
          { name: 'usr/', type: '5', ...at },
          { name: 'lib', type: '2', link: 'usr', ...at },
          { name: 'lib/file', content: 'x', ...at },
          ...later,
        ]),
      );
      await using w = await createFrom(layer);
      expect(await w.sources('box')).toMatchObject([
        { source: 'oci', reason: expect.stringContaining('behind a link') },
      ] as never);
      expect(compareTrees(w.rootfs('plain'), w.rootfs('box'), LOST)).toEqual([]);
    });
  }

  describe('of directories whose entries came late', () => {
    const at = { mtime: 1_500_000_000, uid: 7, gid: 7 };
    // Nothing but markers lies in `gone/`: implied, it would not come into being.
    const layers = [
      layerOf(tar([{ name: 'srv/', type: '5', ...at, mode: 0o777, uid: 0, gid: 0 }])),
      layerOf(
        tar([
          { name: 'srv/data/secret', content: 'x', mode: 0o644, ...at },
          { name: 'srv/data/', type: '5', ...at, mode: 0o700 },
          { name: 'srv/implied/file', content: 'y', ...at },
          { name: 'gone/.wh.x', content: '', ...at },
          { name: 'gone/', type: '5', ...at, mode: 0o750 },
          { name: 'srv/', type: '5', ...at, mode: 0o1777 },
          { name: './', type: '5', ...at, mode: 0o711 },
        ]),
      ),
    ];
    const policies: readonly (readonly [policy: string, sources: readonly string[], companion: boolean])[] = [
      ['{}', ['cvmfs', 'oci'], false],
      ['{}', ['cvmfs', 'oci'], true],
      ['{directories: repair, root: repair}', ['cvmfs', 'cvmfs'], false],
      ['{directories: repair, root: repair}', ['cvmfs', 'cvmfs'], true],
    ];
    for (const [policy, sources, companion] of policies) {
      test(`under ${policy}, ${companion ? 'with' : 'without'} a companion, is never guessed`, async () => {
        const late = layoutImage(dir, layers);
        await using w = await cvmfsWorld({
          packed: await pack(layers, true, { companion }),
          settings: `lost_metadata: ${policy}`,
        });
        for (const id of ['box', 'again']) {
          expect((await w.create(late.url, id)).code).toBe(0);
          // What was fetched is in the store the second time.
          const from = (await w.sources(id)).map(({ source }) => (source === 'store' ? 'oci' : source));
          expect(from).toEqual([...sources]);
        }
        await w.store.must(['create', late.url, 'plain']);
        for (const id of ['box', 'again'])
          expect(compareTrees(w.rootfs('plain'), w.rootfs(id), LOST)).toEqual([]);
        expect(lstatSync(join(w.rootfs('box'), 'srv/data')).mode & 0o7777).toBe(0o700);
      });
    }

    test('is told where the policy accepts it, at the first create and at each later one', async () => {
      const late = layoutImage(dir, layers);
      await using w = await cvmfsWorld({
        packed: await pack(layers, true),
        settings: 'lost_metadata: {directories: accept}',
      });
      for (const id of ['box', 'again']) {
        expect((await w.create(late.url, id)).stderr).toContain('layer-doubt-accepted');
        expect((await w.sources(id))[1]?.reason).toMatch(/attributes of the directory ".*" and \d more may/);
      }
      expect(lstatSync(join(w.rootfs('box'), 'srv/data')).mode & 0o7777).toBe(0o755);
    });
  });

  test('of a root publisher is in doubt: nothing proves that files of root are so in the image', async () => {
    const layer = layerOf(tar([{ name: 'bin', content: 'x', mtime: 1_500_000_000, uid: 7 }]));
    const root = { uid: 0, gid: 0, time: { sec: Math.floor(Date.now() / 1000), nsec: 0 } };
    await using w = await cvmfsWorld({ packed: await pack([layer], false, { publisher: root }) });
    const other = layoutImage(dir, [layer]);
    expect((await w.create(other.url, 'box')).code).toBe(0);
    expect(await w.sources('box')).toMatchObject([
      { source: 'oci', reason: expect.stringMatching(/nothing proves that its owners.*\(lost_metadata\)/) },
    ] as never);
    expect(lstatSync(join(w.rootfs('box'), 'bin')).uid).toBe(7);
  });
});
