/** From a registry into a directory by the program, and from there to a container of another store. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { packTree, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, NAME } from '../support/cvmfs/world.ts';
import { executable, graft } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { layoutImage, makeLayer, type PublishedImage } from '../support/images/published-image.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { cleanEnv, runPrivately } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const LAYERS = [
  `mkdir -p bin etc/sub tmp; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; echo 1 > etc/one; echo 2 > etc/sub/two
   chown 1000:1000 etc/one`,
  `mkdir -p etc/sub; touch etc/.wh.one; touch etc/sub/.wh..wh..opq; echo 3 > etc/sub/three`,
];

let dir: TempDir;
let registry: TestRegistry;
let image: PublishedImage;
let name: string;

beforeAll(async () => {
  dir = tempDir();
  registry = await startRegistry(dir.at('registry'));
  image = layoutImage(
    dir,
    await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*'))),
  );
  name = `${registry.host}/team/app:v1`;
  await push(image.url.replace('oci://', 'oci:'), `docker://${name}`);
});
afterAll(async () => {
  await registry?.stop();
  await dir.remove();
});

/** The test's directories are closed to other users, so the two that the user needs are bound elsewhere. */
const AS_USER = `mount -t tmpfs tmpfs /mnt; mkdir /mnt/target; touch /mnt/graft
mount --bind "$1" /mnt/target; mount --bind "$2" /mnt/graft; shift 2
exec setpriv --reuid 1000 --regid 1000 --clear-groups /mnt/graft "$@"`;

function target(of: string): string {
  const path = dir.at(of);
  mkdirSync(path);
  return path;
}

function publishArguments(path: string, ...more: string[]): string[] {
  return ['publish', '--to', `directory:${path}`, '--insecure-registry', registry.host, ...more];
}

/** The requests that the registry answered since. */
function requestsOf(before: number): string[] {
  const lines = registry.output().slice(before).split('\n');
  return lines.flatMap((line) => /"((?:GET|HEAD) [^ ]+)/.exec(line)?.[1] ?? []);
}

test('an image is published once, by one HEAD is found to be there, and becomes the same container on CVMFS', async () => {
  const path = target('published');
  const first = await graft(publishArguments(path, `docker://${name}`));
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toContain(`published as ${name}: 2 of 2 layers fetched`);

  const before = registry.output().length;
  const again = await graft(publishArguments(path, `docker://${name}`));
  expect(again).toMatchObject({ code: 0, stdout: `docker://${name}: published before as ${name}\n` });
  expect(requestsOf(before)).toEqual(['HEAD /v2/team/app/manifests/v1']);

  setMagic(path, { fqrn: NAME });
  await packTree(path, dir.at('published.sqfs'));
  await using w = await cvmfsWorld({ packed: dir.at('published.sqfs') });
  expect(await w.store.must(['create', image.url, 'whole'])).toBeDefined();
  // Without the registry: layers, manifest and configuration are the repository's.
  const created = await w.create(`cvmfs:///cvmfs/${NAME}/${name}`, 'named');
  expect(created).toMatchObject({ code: 0 });
  expect((await w.sources('named')).map(({ source }) => source)).toEqual(['cvmfs', 'cvmfs']);
  expect(JSON.parse(created.stdout)).toMatchObject({ process: { env: ['PATH=/bin', 'FROM=config'] } });
  expect(compareTrees(w.rootfs('whole'), w.rootfs('named'), { linkCounts: false })).toEqual([]);
});

test('an ordinary user publishes into a directory of its own, and is told what that loses', async () => {
  const path = target('users');
  chownSync(path, 1000, 1000);
  const words = publishArguments('/mnt/target', '--json', `docker://${name}`);
  const ran = await runPrivately('/bin/sh', ['-euc', AS_USER, 'sh', path, executable(), ...words], {
    env: cleanEnv({ HOME: '/nonexistent' }),
  });
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(ran.stdout)).toMatchObject({
    images: [{ name, result: 'published', layers: 2, lost: { owners: true } }],
  });
  const hex = hexOf(image.layers[0]?.digest ?? image.config);
  const layer = join(path, '.layers', hex.slice(0, 2), hex);
  const { uid, mode } = statSync(`${layer}/layerfs/bin/sh`);
  // A set-id file of a foreign image must not be the publisher's.
  expect([uid, (mode & 0o7777).toString(8)]).toEqual([1000, '755']);
  expect(JSON.parse(readFileSync(`${layer}/.metadata/overlay.json`, 'utf8'))).toMatchObject({
    owners_kept: false,
  });
});

test('an image that fails is told, and the others are published', async () => {
  const path = target('some');
  const absent = `docker://${registry.host}/team/absent:v1`;
  const ran = await graft(
    publishArguments(path, '--json', absent, 'cvmfs:///cvmfs/a.b/c', `docker://${name}`),
  );
  expect(ran.code).toBe(4);
  expect(JSON.parse(ran.stdout)).toMatchObject({
    images: [
      { image: absent, result: 'failed', code: 'REGISTRY_NOT_FOUND' },
      { image: 'cvmfs:///cvmfs/a.b/c', result: 'failed', code: 'PUBLISH_SOURCE' },
      { result: 'published', name },
    ],
  });
});

test.each([
  [['publish', 'oci:///x'], 'publish [options]'],
  [['publish', '--to', 'directory:/', '--name', 'a/b:c', 'oci:///x', 'oci:///y'], 'publish [options]'],
  [['publish', '--to', 'elsewhere', 'oci:///x'], 'directory:/PATH'],
  [['publish', '--to', 'directory:relative', 'oci:///x'], 'absolute'],
  [['publish', '--to', 'directory:/', '--keep', 'long', 'oci:///x'], 'number of days'],
])('%j is refused', async (args, says) => {
  const ran = await graft(args);
  expect(ran).toMatchObject({ code: 1 });
  expect(ran.stdout).toContain(says);
});
