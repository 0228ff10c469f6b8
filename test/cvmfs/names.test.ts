/** Images by their name on CVMFS, flat roots of three generations, and thin images of two. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestFromHex, digestOf, hexOf } from '../../lib/base/digest.ts';
import { formatThinImage } from '../../lib/cvmfs/records.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, DEADLINE_MS, NAME, type World } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  PUBLISHER,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { type Ran, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LOST = { linkCounts: false };
const LAYERS = [
  `mkdir -p bin etc tmp; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; echo 2 > etc/two
   chown 1000:1000 etc/two`,
  `mkdir etc; touch etc/.wh.one; echo 3 > etc/three`,
];
const OTHER = process.arch === 'arm64' ? 'amd64' : 'arm64:v8';
const MINE = process.arch === 'arm64' ? 'arm64:v8' : 'amd64';
const MACHINE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

describe('by name', () => {
  let dir: TempDir;
  let registry: TestRegistry;
  let image: PublishedImage;
  let other: PublishedImage;
  let layers: MadeLayer[];
  let whole: string;
  let name: string;

  beforeAll(async () => {
    dir = tempDir();
    registry = await startRegistry(dir.at('registry'));
    layers = await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
    image = layoutImage(dir, layers);
    other = layoutImage(dir, layers.slice(0, 1), { config: { Env: ['OTHER=1'] } });
    name = `${registry.host}/team/app:v1`;
    // The digests stay what they are: skopeo copies OCI manifests to a registry unchanged.
    await push(image.url.replace('oci://', 'oci:'), `docker://${name}`);
    await using w = await cvmfsWorld({ packed: await pack(() => undefined) });
    await w.store.must(['create', image.url, 'whole']);
    whole = dir.at('whole');
    await sh('cp -a "$1" "$2"', [w.rootfs('whole'), whole]);
  });
  afterAll(async () => {
    await registry?.stop();
    await dir.remove();
  });

  async function pack(fill: (root: string) => unknown, magic: Record<string, string> = {}): Promise<string> {
    const root = dir.at(`repository-${crypto.randomUUID()}`);
    mkdirSync(root);
    await fill(root);
    setMagic(root, { fqrn: NAME, ...magic });
    await packTree(root, `${root}.sqfs`);
    return `${root}.sqfs`;
  }

  interface Parts {
    readonly layers?: readonly MadeLayer[];
    readonly manifest?: boolean;
    readonly flat?: boolean;
    readonly config?: boolean;
    readonly singularity?: boolean;
  }

  /** The image as DUCC publishes it, or parts of that. */
  async function publish(root: string, parts: Parts): Promise<void> {
    const writer = repositoryWriter(root);
    await publishLayers(writer, parts.layers ?? []);
    if (parts.manifest) {
      const published = parts.layers ?? [];
      for (const layer of image.layers) {
        const hex = hexOf(layer.digest);
        if (!published.includes(layer))
          mkdirSync(join(root, '.layers', hex.slice(0, 2), hex, '.metadata'), { recursive: true });
      }
      writer.publishManifest(name, image.manifest);
      for (const layer of image.layers) {
        const hex = hexOf(layer.digest);
        if (!published.includes(layer))
          rmSync(join(root, '.layers', hex.slice(0, 2), hex), { recursive: true });
      }
    }
    if (parts.config) writer.publishConfig(image.config, image.configBytes);
    if (parts.flat)
      await writer.publishFlat(name, image.config, (to) => fillFlat(to, parts.singularity === true));
  }

  /** What DUCC makes of the merged image. */
  async function fillFlat(to: string, singularity: boolean): Promise<void> {
    await sh('cp -a "$1/." "$2"', [whole, to]);
    if (singularity) addScripts(to);
    await sh('touch -r "$1" "$2"', [whole, to]);
  }

  function addScripts(to: string): void {
    mkdirSync(join(to, '.singularity.d/env'), { recursive: true });
    writeFileSync(
      join(to, '.singularity.d/env/10-docker2singularity.sh'),
      `#!/bin/sh\nexport PATH="/bin:/usr/bin"\nexport A="\${A:-"b \\"c\\" \\$d"}"\nunset B\n`,
    );
    writeFileSync(
      join(to, '.singularity.d/runscript'),
      `#!/bin/sh\nOCI_ENTRYPOINT='"/bin/sh"'\nOCI_CMD='"-c" "echo \\"hi\\""'\n`,
    );
  }

  function create(w: World, path: string, ...args: string[]) {
    return w.create(`cvmfs:///cvmfs/${NAME}/${path}`, 'box', '--insecure-registry', registry.host, ...args);
  }

  function fragment(stdout: string): { process?: { env?: string[]; args?: string[] } } {
    return JSON.parse(stdout) as { process?: { env?: string[]; args?: string[] } };
  }

  /** The fragment for Garden, and not a sentence. */
  function works({ code, stdout }: Ran): void {
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^{/)] as never);
  }

  const FLAT_ONLY = { ignore: ['/.singularity.d'] };

  test('from its layers, with the configuration that the repository keeps', async () => {
    const packed = await pack((root) => publish(root, { layers, manifest: true, config: true, flat: true }));
    await using w = await cvmfsWorld({ packed });
    const created = await create(w, name);
    expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
    expect(fragment(created.stdout).process?.env).toEqual(['PATH=/bin', 'FROM=config']);
    expect(created.stderr).toContain('"config":"podmanStore"');
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('from its layers, with the configuration from the registry', async () => {
    const packed = await pack((root) => publish(root, { layers, manifest: true }));
    await using w = await cvmfsWorld({ packed });
    const created = await create(w, name);
    expect(fragment(created.stdout).process?.env).toEqual(['PATH=/bin', 'FROM=config']);
    expect(created.stderr).toContain('"config":"registry"');
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('one layer is missing: the flat root where there is one', async () => {
    const parts = { layers: layers.slice(0, 1), manifest: true, flat: true, config: true };
    await using w = await cvmfsWorld({ packed: await pack((root) => publish(root, parts)) });
    const created = await create(w, name);
    works(created);
    expect(created.stderr).toContain('image-layers-incomplete');
    const hex = hexOf(image.config);
    expect((await w.sources('box')).map(({ layer }) => layer.slice(w.standIn.mount.length))).toEqual([
      `/.flat/${hex.slice(0, 2)}/${hex}`,
    ]);
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('one layer is missing and there is no flat root: that one from the registry', async () => {
    const parts = { layers: layers.slice(0, 1), manifest: true };
    await using w = await cvmfsWorld({ packed: await pack((root) => publish(root, parts)) });
    works(await create(w, name));
    expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'registry']);
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('a flat root alone, with the environment that its scripts set', async () => {
    const packed = await pack((root) => publish(root, { flat: true, singularity: true }));
    await using w = await cvmfsWorld({ packed });
    const created = await create(w, name);
    expect(fragment(created.stdout).process).toMatchObject({
      env: ['PATH=/bin:/usr/bin', 'A=b "c" $d'],
      args: ['/bin/sh', '-c', 'echo "hi"'],
    });
    expect(created.stderr).toContain('"config":".singularity.d"');
    expect(compareTrees(whole, w.rootfs('box'), { ...LOST, ...FLAT_ONLY })).toEqual([]);
    expect(existsSync(join(w.rootfs('box'), '.cvmfscatalog'))).toBe(false);
  });

  test('a flat root that lost its sticky bits, where the policy does not accept that', async () => {
    const packed = await pack(async (root) => {
      await publish(root, { flat: true });
      await sh('chmod 777 "$1"/.flat/*/*/tmp', [root]);
    });
    await using accepting = await cvmfsWorld({ packed });
    works(await create(accepting, name));
    await using w = await cvmfsWorld({ packed, settings: 'lost_metadata: {setuid: fall_back}' });
    const created = await create(w, name);
    works(created);
    expect(created.stderr).toContain('/tmp is writable for all and not sticky');
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('a plain directory, as the exporter of 2016 made it', async () => {
    const packed = await pack((root) =>
      sh('mkdir -p "$2/images"; cp -a "$1" "$2/images/debian"', [whole, root]),
    );
    await using w = await cvmfsWorld({ packed });
    const created = await create(w, 'images/debian');
    works(created);
    expect(fragment(created.stdout).process?.env).toBeUndefined();
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('an old absolute link, and one that leads out', async () => {
    const packed = await pack((root) => {
      cpSync(whole, join(root, 'real'), { recursive: true });
      symlinkSync(`/cvmfs/${NAME}/real`, join(root, 'absolute'));
      symlinkSync('../../../etc', join(root, 'out'));
      symlinkSync('/etc', join(root, 'etc'));
      symlinkSync('loop', join(root, 'loop'));
    });
    await using w = await cvmfsWorld({ packed });
    works(await create(w, 'absolute'));
    await w.store.must(['delete', 'box']);
    for (const path of ['out', 'etc']) {
      const created = await create(w, path);
      expect([created.code, created.stdout]).toEqual([
        1,
        expect.stringContaining('leads out of the repository'),
      ] as never);
    }
    expect((await create(w, 'loop')).stdout).toContain('too many levels');
    expect((await create(w, 'nothing')).stdout).toContain(
      `nothing is published as nothing in the CVMFS repository ${NAME}`,
    );
  });

  test('this machine out of several, by the published links and by variant links', async () => {
    const packed = await pack(async (root) => {
      const writer = repositoryWriter(root);
      await publishLayers(writer, layers);
      writer.publishManifest(`.multiarch/${OTHER}/${name}`, other.manifest);
      writer.publishManifest(`.multiarch/${MINE}/${name}`, image.manifest);
      writer.publishConfig(image.config, image.configBytes);
      writer.publishConfig(other.config, other.configBytes);
      const flat = digestFromHex('d'.repeat(64));
      await writer.publishFlat(`.multiarch/${MINE}/variants/app:v1`, flat, (to) => fillFlat(to, false));
      symlinkSync(MINE, join(root, '.multiarch', MACHINE));
      mkdirSync(join(root, 'variants'));
      symlinkSync('../.multiarch/$(CVMFS_ARCH:-none)/variants/app:v1', join(root, 'variants/app:v1'));
    });
    await using w = await cvmfsWorld({ packed });
    const created = await create(w, name);
    expect(fragment(created.stdout).process?.env).toEqual(['PATH=/bin', 'FROM=config']);
    await w.store.must(['delete', 'box']);
    works(await create(w, 'variants/app:v1'));
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('the whole image from its registry when the repository hangs', async () => {
    const packed = await pack((root) => publish(root, { layers, manifest: true, config: true }));
    await using w = await cvmfsWorld({ packed, deadlineMs: DEADLINE_MS });
    w.standIn.stop();
    const created = await create(w, name);
    w.standIn.resume();
    works(created);
    expect(created.stderr).toContain('image-not-from-cvmfs');
    expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
  });

  test('one sentence when the repository hangs and the name names no registry', async () => {
    await using w = await cvmfsWorld({
      packed: await pack((root) => cpSync(whole, join(root, 'app'), { recursive: true })),
      deadlineMs: DEADLINE_MS,
    });
    w.standIn.stop();
    const created = await create(w, 'app');
    w.standIn.resume();
    expect([created.code, created.stdout]).toEqual([
      1,
      expect.stringMatching(
        /^app in the CVMFS repository test\.example\.org cannot be used: no answer within 1500 ms \(hang\)/,
      ),
    ] as never);
    expect(readdirSync(join(w.store.path, 'images'))).toEqual([]);
  });

  test('not outside of the listed repositories', async () => {
    await using w = await cvmfsWorld({ packed: await pack(() => undefined) });
    const created = await w.create('cvmfs:///cvmfs/another.example/x', 'box');
    expect([created.code, created.stdout]).toEqual([
      1,
      expect.stringMatching(
        /cannot be used: it lies in no repository of the configuration; .*test\.example\.org/,
      ),
    ] as never);
    const unconfigured = await w.store.graft(['create', `cvmfs:///cvmfs/${NAME}/x`, 'box']);
    expect(unconfigured.stdout).toContain('no CVMFS repository is configured');
  });

  describe('thin images', () => {
    /** A registry image whose only layer is a tar with this one member. */
    function thinImage(member: string, text: string): string {
      const work = dir.at(`thin-${crypto.randomUUID()}`);
      mkdirSync(work);
      writeFileSync(join(work, member), text);
      const tar = Bun.spawnSync(['tar', '-C', work, '--numeric-owner', '-cf', '-', member]).stdout;
      const blob = gzipSync(tar);
      return layoutImage(dir, [{ digest: digestOf(blob), blob, tar: Buffer.from(tar) }]).url;
    }

    function thinText(
      path: (hex: string) => string,
      origin = `https://${registry.host}/team/app:v1`,
    ): string {
      const entries = layers.map(({ digest }) => ({ digest, url: `cvmfs://${NAME}/${path(hexOf(digest))}` }));
      return formatThinImage(origin, entries);
    }
    const ducc = (hex: string) => `.layers/${hex.slice(0, 2)}/${hex}/layerfs`;
    const graphdriver = (hex: string) => `layers/${hex}`;

    test('as DUCC publishes them', async () => {
      await using w = await cvmfsWorld({ packed: await pack((root) => publish(root, { layers })) });
      const created = await w.create(thinImage('thin.json', thinText(ducc)), 'box');
      works(created);
      expect((await w.sources('box')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
      expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
    });

    test('as the graph driver of 2017 made them: .thin, layers/<hex>, no digest of the algorithm', async () => {
      const packed = await pack(async (root) => {
        await publish(root, { layers });
        mkdirSync(join(root, 'layers'));
        for (const { digest } of layers) {
          const hex = hexOf(digest);
          await sh('cp -a "$1" "$2"; rm "$2/.cvmfscatalog"; touch -r "$1" "$2"', [
            join(root, ducc(hex)),
            join(root, 'layers', hex),
          ]);
        }
        rmSync(join(root, '.layers'), { recursive: true });
      });
      await using w = await cvmfsWorld({ packed });
      const text = thinText(graphdriver, 'library/app:v1@https://registry-1.docker.io/v2').replace(
        '"1.0"',
        '"0.1"',
      );
      for (const member of ['.thin', 'thin.json']) {
        works(await w.create(thinImage(member, text), 'box'));
        expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
        await w.store.must(['delete', 'box']);
      }
    });

    test('with a layer from the origin when the repository has lost it', async () => {
      await using w = await cvmfsWorld({
        packed: await pack((root) => publish(root, { layers: layers.slice(1) })),
      });
      const url = thinImage('thin.json', thinText(ducc));
      works(await w.create(url, 'box', '--insecure-registry', registry.host));
      expect((await w.sources('box')).map(({ source }) => source)).toEqual(['registry', 'cvmfs']);
      expect(compareTrees(whole, w.rootfs('box'), LOST)).toEqual([]);
    });

    const attacks: readonly (readonly [what: string, url: string, says: RegExp])[] = [
      [
        'a repository that is not listed',
        'cvmfs://evil.example/x',
        /its repository is not in the configuration/,
      ],
      ['a path with ..', `cvmfs://${NAME}/../../etc`, /"\." or "\.\." components/],
      ['a path with an empty component', `cvmfs://${NAME}//etc`, /empty components/],
      ['another scheme', 'file:///etc', /it is not cvmfs:\/\//],
      ['no path', `cvmfs://${NAME}`, /it is not cvmfs:\/\//],
      [
        'a link out of the repository',
        `cvmfs://${NAME}/out`,
        /too many levels of symbolic links|not a directory/,
      ],
      ['a layer that is not there', `cvmfs://${NAME}/layers/${'e'.repeat(64)}`, /not published/],
    ];
    for (const [what, url, says] of attacks) {
      test(`refuse ${what}`, async () => {
        const packed = await pack((root) => symlinkSync('/etc', join(root, 'out')));
        await using w = await cvmfsWorld({ packed });
        const text = JSON.stringify({ version: '1.0', layers: [{ digest: 'e'.repeat(64), url }] });
        const created = await w.create(thinImage('thin.json', text), 'box');
        expect([created.code, created.stdout]).toEqual([1, expect.stringMatching(says)] as never);
        expect(readdirSync(join(w.store.path, 'images'))).toEqual([]);
      });
    }

    test('an ordinary image with a file of that name beside others stays ordinary', async () => {
      await using w = await cvmfsWorld({ packed: await pack(() => undefined) });
      const layer = await makeLayer(dir, `echo '{"layers":[]}' > thin.json; echo x > other`);
      works(await w.create(layoutImage(dir, [layer]).url, 'box'));
      expect(readdirSync(w.rootfs('box')).sort()).toEqual(['other', 'thin.json']);
    });
  });

  test('the publisher is a user of its own in these trees', () => {
    expect(PUBLISHER.uid).not.toBe(0);
    expect(readFileSync(join(whole, 'etc/three'), 'utf8')).toBe('3\n');
  });
});
