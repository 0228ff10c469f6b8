/**
 * What every mount must do, a client's own among them: GRAFT_TEST_CVMFS names the mount point of a real repository in
 * DUCC's layout, and then the images are the first that it has. Without it a stand-in is served.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packTree, type StandIn, serveImage, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME, type World } from '../support/cvmfs/world.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import {
  layoutImage,
  makeLayer,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const REAL = process.env['GRAFT_TEST_CVMFS'];
const IMAGES = 2;
const LAYERS = [
  'mkdir -p bin etc tmp; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; chown 7:8 etc/one',
  'mkdir etc; touch etc/.wh.one; ln -s two etc/link; echo 2 > etc/two',
];

describe(REAL ?? 'a stand-in', () => {
  let dir: TempDir;
  let registry: TestRegistry | undefined;
  let standIn: StandIn | undefined;
  let mount: string;

  beforeAll(async () => {
    dir = tempDir();
    mount = REAL ?? dir.at('cvmfs', NAME);
    if (REAL !== undefined) return;
    registry = await startRegistry(dir.at('registry'));
    const layers = await Promise.all(
      LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')),
    );
    const image = layoutImage(dir, layers);
    const name = `${registry.host}/team/app:v1`;
    await push(image.url.replace('oci://', 'oci:'), `docker://${name}`);
    const root = dir.at('repository');
    mkdirSync(root);
    const writer = repositoryWriter(root);
    await publishLayers(writer, layers);
    writer.publishManifest(name, image.manifest);
    writer.publishConfig(image.config, image.configBytes);
    setMagic(root, { fqrn: NAME });
    await packTree(root, dir.at('image'));
    standIn = await serveImage(dir.at('image'), mount);
  });
  afterAll(async () => {
    await standIn?.[Symbol.asyncDispose]();
    await registry?.stop();
    await dir.remove();
  });

  /** Publishing loses owners unless it is told to keep them. */
  async function world(): Promise<World> {
    const elsewhere = { ...standIn, mount, [Symbol.asyncDispose]: async () => undefined } as StandIn;
    const w = await cvmfsWorld({ packed: async () => elsewhere });
    const lost = 'lost_metadata: {owners: repair, capabilities: repair}';
    const lines = `  - path: ${mount}\n    probe_deadline_ms: 300000\n    ${lost}\n`;
    writeFileSync(w.extra, `cvmfs:\n  repositories:\n${lines}`);
    return w;
  }

  function insecure(): string[] {
    return registry === undefined ? [] : ['--insecure-registry', registry.host];
  }

  /** `REGISTRY/NAME:TAG` of the first images with a manifest. */
  function publishedNames(below = '', found: string[] = []): string[] {
    for (const entry of readdirSync(join(mount, '.metadata', below), { withFileTypes: true })) {
      if (found.length === IMAGES) return found;
      if (entry.isDirectory()) publishedNames(join(below, entry.name), found);
      else if (entry.name === 'manifest.json') found.push(below);
    }
    return found;
  }

  test('is healthy, and says so', async () => {
    await using w = await world();
    const { stdout } = await w.graft(['doctor', '--json']);
    const checks = JSON.parse(stdout) as { name: string; verdict: string; detail: string }[];
    const about = checks.filter(({ name }) => name === `repository ${basename(mount)}`);
    expect(about.map(({ verdict }) => verdict)).not.toContain('problem');
    expect(about[0]?.detail).toMatch(/revision \d+/);
  }, 120_000);

  test('gives what the registry gives', async () => {
    const names = publishedNames();
    expect(names).not.toEqual([]);
    for (const name of names) {
      await using w = await world();
      const created = await w.create(`docker://${name}`, 'box', ...insecure());
      expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
      expect(new Set((await w.sources('box')).map(({ source }) => source))).toEqual(new Set(['cvmfs']));
      await w.store.must(['create', ...insecure(), `docker://${name}`, 'plain']);
      const lines = compareTrees(w.rootfs('plain'), w.rootfs('box'), { linkCounts: false });
      // A file with two names is published as two files.
      expect(lines.filter((line) => !line.includes('linked together'))).toEqual([]);
    }
  }, 600_000);

  test('gives the same by its own names', async () => {
    for (const name of publishedNames()) {
      await using w = await world();
      const created = await w.create(`cvmfs:///cvmfs/${basename(mount)}/${name}`, 'box', ...insecure());
      expect([created.code, created.stdout.slice(0, 1)]).toEqual([0, '{']);
    }
  }, 600_000);
});
