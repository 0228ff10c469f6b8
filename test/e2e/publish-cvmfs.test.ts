/** Images through `cvmfs_server`, whole or not at all, whoever is killed on the way. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../lib/base/digest.ts';
import { REPOSITORY, ReleaseManager } from '../support/cvmfs/release-manager.ts';
import { graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { layoutImage, makeLayer, type PublishedImage } from '../support/images/published-image.ts';
import { listTree } from '../support/images/unpack.ts';
import { cleanEnv } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const NAME = 'registry.example.org:5000/team/app:v1';
const TARGET = `cvmfs:${REPOSITORY}`;
/** More than a pipe holds, and random, so that no member is small. */
const LARGE = 'head -c 3000000 /dev/urandom > large';
const LAYERS = [
  `mkdir -p bin etc/sub tmp; chmod 1777 tmp; echo x > bin/sh; chmod 4755 bin/sh; ln bin/sh bin/link; mkfifo etc/pipe
   ln -s sub etc/link; touch etc/sub/two; chown 1000:100000 etc/sub/two; mkdir -p "$(printf '%0100d/%0100d' 1 2)"
   touch "$(printf '%0100d/%0100d' 1 2)/deep"; ${LARGE}`,
  `mkdir -p etc/sub; touch etc/.wh.link; touch etc/sub/.wh..wh..opq; echo 3 > etc/sub/three; echo y > .hidden`,
];

let dir: TempDir;
let image: PublishedImage;
let options: string[];
beforeAll(async () => {
  dir = tempDir();
  const layers = await Promise.all(LAYERS.map((script, at) => makeLayer(dir, script, at === 0 ? '.' : '*')));
  image = layoutImage(dir, layers);
  options = ['--to', TARGET, '--name', NAME, image.url];
});
afterAll(() => dir.remove());

function layersIn(tree: string): string[] {
  const layers = join(tree, '.layers');
  if (!existsSync(layers)) return [];
  return readdirSync(layers).flatMap((two) =>
    two === '.cvmfscatalog' ? [] : readdirSync(join(layers, two)).filter((name) => name.length === 64),
  );
}

/** Starts graft, and gives its process when the transaction of its ingest is open and the tool stands. */
async function startStopped(manager: ReleaseManager) {
  manager.setFault('stop-open');
  const command = ['unshare', '--mount', '--propagation', 'private', '--', '/bin/sh'];
  const child = Bun.spawn([...command, ...manager.command('publish', options)], {
    env: cleanEnv(),
    stdout: 'ignore',
    stderr: 'ignore',
  });
  const record = join(manager.state, 'scratch', `graft-publish-0`, REPOSITORY, 'call.json');
  while (!manager.isOpen) await Bun.sleep(5);
  for (;;) {
    const text = await Bun.file(record).text();
    const process = (JSON.parse(text) as { process: string }).process;
    const tool = Number(process.split('.')[0]);
    if (tool > 0 && (await Bun.file(`/proc/${tool}/stat`).text()).includes(') T ')) return { child, tool };
    await Bun.sleep(5);
  }
}

test('an image is one ingest, and the tree is that of a directory', async () => {
  const manager = new ReleaseManager(dir);
  expect(await manager.graft('publish', options)).toMatchObject({ code: 0, stderr: '' });
  expect(manager.calls()).toEqual([['list'], ['ingest', '-t', '-', '-b', '/', '-k', REPOSITORY]]);
  expect([manager.revision, manager.isOpen]).toEqual([2, false]);

  const plain = dir.at('plain');
  mkdirSync(plain);
  await graftMust(['publish', '--to', `directory:${plain}`, '--name', NAME, image.url]);
  for (const hex of layersIn(plain)) {
    const at = join('.layers', hex.slice(0, 2), hex);
    const lines = compareTrees(join(plain, at, 'layerfs'), join(manager.tree, at, 'layerfs'), {
      linkCounts: false,
    });
    // CernVM-FS makes files of their own of hard links.
    expect(lines.filter((line) => !line.includes('linked together'))).toEqual([]);
    expect(listTree(join(plain, at, 'whiteouts'))).toEqual(listTree(join(manager.tree, at, 'whiteouts')));
  }
  expect(layersIn(manager.tree).sort()).toEqual(image.layers.map(({ digest }) => hexOf(digest)).sort());
  const metadata = join('.metadata', NAME);
  expect(readdirSync(join(manager.tree, metadata)).sort()).toEqual(readdirSync(join(plain, metadata)).sort());

  const again = await manager.graft('publish', options);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).toContain('published before');
  expect([manager.revision, manager.calls().at(-1)]).toEqual([2, ['list']]);
});

test('a killed publisher leaves no half layer: its archive breaks off where no reader takes it for whole', async () => {
  const manager = new ReleaseManager(dir, 'killed');
  const { child, tool } = await startStopped(manager);
  // The pipe is full by then, since nobody reads it.
  child.kill('SIGKILL');
  await child.exited;
  process.kill(tool, 'SIGCONT');
  while (manager.isOpen) await Bun.sleep(5);
  expect([manager.revision, layersIn(manager.tree)]).toEqual([1, []]);
  manager.setFault('');
  expect(await manager.graft('publish', options)).toMatchObject({ code: 0 });
  expect(layersIn(manager.tree)).toHaveLength(2);
});

test('a transaction that a killed publisher and a killed tool left open is aborted by the next run', async () => {
  const manager = new ReleaseManager(dir, 'open');
  const { child, tool } = await startStopped(manager);
  child.kill('SIGKILL');
  await child.exited;
  expect(await manager.graft('publish', options)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('process'),
  });
  process.kill(tool, 'SIGKILL');
  while (existsSync(`/proc/${tool}`)) await Bun.sleep(5);
  expect(manager.isOpen).toBe(true);
  manager.setFault('');
  expect(await manager.graft('publish', options)).toMatchObject({ code: 0 });
  expect(manager.calls().map(([verb]) => verb)).toEqual(['list', 'ingest', 'list', 'abort', 'ingest']);
});

test('a tool that is killed inside its transaction fails the image, and the transaction is aborted', async () => {
  const manager = new ReleaseManager(dir, 'tool');
  manager.setFault('kill-end');
  const ran = await manager.graft('publish', ['--json', ...options]);
  expect(ran).toMatchObject({ code: 4 });
  expect(JSON.parse(ran.stdout)).toMatchObject({ images: [{ result: 'failed', code: 'PUBLISH_SERVER' }] });
  expect([manager.revision, manager.isOpen]).toEqual([1, false]);
});

test('a transaction of somebody else is respected', async () => {
  const manager = new ReleaseManager(dir, 'foreign');
  expect(await manager.tool('transaction', REPOSITORY)).toMatchObject({ code: 0 });
  const ran = await manager.graft('publish', options);
  expect(ran).toMatchObject({ code: 1 });
  expect(ran.stdout).toContain("it is not graft's");
  expect([manager.revision, manager.isOpen]).toEqual([1, true]);
});

test('half a layer of another tool is removed before its layer is published', async () => {
  const manager = new ReleaseManager(dir, 'half');
  const hex = hexOf(image.layers[0]?.digest ?? image.config);
  const half = join(manager.tree, '.layers', hex.slice(0, 2), hex, 'layerfs/half');
  mkdirSync(half, { recursive: true });
  expect(await manager.graft('publish', options)).toMatchObject({ code: 0 });
  expect(existsSync(half.replace('/revisions/1/', `/revisions/${manager.revision}/`))).toBe(false);
  expect(lstatSync(join(manager.tree, '.layers', hex.slice(0, 2), hex, 'layerfs/bin/sh')).mode & 0o7777).toBe(
    0o4755,
  );
});

test('an image is taken away in a transaction, since its name has a colon, and its layers by the next prune', async () => {
  const manager = new ReleaseManager(dir, 'prune');
  expect(await manager.graft('publish', options)).toMatchObject({ code: 0 });
  const before = manager.calls().length;
  expect(await manager.graft('unpublish', ['--from', TARGET, '--keep', '0', NAME])).toMatchObject({
    code: 0,
  });
  expect(readdirSync(manager.tree).sort()).toEqual(['.layers', '.metadata']);
  expect(readdirSync(join(manager.tree, '.metadata'))).toEqual([]);
  expect(await manager.graft('publish', ['--prune', '--to', TARGET, '--keep', '0'])).toMatchObject({
    code: 0,
  });
  expect(layersIn(manager.tree)).toEqual([]);
  const removed = image.layers
    .map(({ digest }) => hexOf(digest))
    .sort()
    .flatMap((hex) => ['-d', `.layers/${hex.slice(0, 2)}/${hex}`]);
  expect(manager.calls().slice(before)).toEqual([
    ['list'],
    ['transaction', REPOSITORY],
    ['publish', REPOSITORY],
    ['list'],
    ['list'],
    ['ingest', ...removed, REPOSITORY],
  ]);
});
