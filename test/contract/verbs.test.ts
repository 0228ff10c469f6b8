/** The verbs as Garden calls them: its argv, its environment, its pipes, and its reading of the answers. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { executable } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { mountPointsBelow } from '../support/temp.ts';
import { type GardenRun, garden, runLikeGarden } from './garden/run.ts';

const GRAFT = executable();
/** What `maximus` says on a cell: the largest id of the host. */
const MAX = 4294967294;

let store: TestStore;
let tar: string;
let config: string;

beforeAll(async () => {
  const mapping = (kind: string) => [
    `--${kind}-mapping`,
    `0:${MAX}:1`,
    `--${kind}-mapping`,
    `1:1:${MAX - 1}`,
  ];
  store = await testStore({ init: [...mapping('uid'), ...mapping('gid')] });
  const tree = store.dir.at('tree');
  mkdirSync(`${tree}/etc`, { recursive: true });
  writeFileSync(`${tree}/etc/passwd`, 'root:x:0:0::/:/bin/sh\n');
  writeFileSync(`${tree}/file`, 'x'.repeat(100_000));
  chmodSync(`${tree}/file`, 0o4755);
  // The test's own directory must not be what keeps the mapped root out.
  chmodSync(store.dir.path, 0o711);
  tar = store.dir.at('base.tar');
  await must('tar', ['-C', tree, '--owner=0', '--group=0', '-cf', tar, '.']);
  config = store.dir.at('config.yml');
  writeFileSync(
    config,
    [
      `store: ${store.path}`,
      'tardis_bin: /nowhere/tardis',
      'newuidmap_bin: /nowhere/newuidmap',
      'newgidmap_bin: /nowhere/newgidmap',
      'log_level: info',
      'metron_endpoint: 127.0.0.1:1',
      'log_timestamp_format: unix-epoch',
      'create:\n  without_mount: false\n  insecure_registries: []\n  skip_layer_validation: true',
      'init:\n  store_size_bytes: 107374182400\n',
    ].join('\n'),
  );
});
afterAll(() => store.dir.remove());

/** An image plugin with one extra argument pair, as BOSH configures it. */
const plugin = (...args: readonly string[]) => [GRAFT, '--config', config, ...args];
const run = (...args: readonly string[]): Promise<GardenRun> => runLikeGarden(plugin(...args));
let ids = 0;
const newId = () => `handle-${++ids}`;

describe('create', () => {
  test('gives Garden a root filesystem', async () => {
    const id = newId();
    const spec = await garden.create(plugin('create', tar, id));
    expect(spec).toEqual({ rootPath: `${store.path}/images/${id}/rootfs`, env: [], mounts: [] });
    expect(readFileSync(`${spec.rootPath}/file`, 'utf8')).toHaveLength(100_000);
    await garden.delete(plugin('delete', id));
  });

  test('of an unprivileged container belongs to the mapped root, which can reach and change it', async () => {
    const id = newId();
    const { rootPath } = await garden.create(plugin('create', tar, id));
    const root = statSync(rootPath);
    expect([root.uid, root.gid]).toEqual([MAX, MAX]);
    const { uid, mode } = statSync(`${rootPath}/file`);
    expect([uid, mode & 0o7777]).toEqual([MAX, 0o4755]);
    // Every parent within the store can be searched by its group, as runc does, and belongs to root.
    for (let at = rootPath; at !== store.path; ) {
      at = at.slice(0, at.lastIndexOf('/'));
      const { uid: owner, gid: group, mode: bits } = statSync(at);
      expect([at, owner, group, bits & 0o7777]).toEqual([at, 0, MAX, 0o710]);
    }
    // What Garden and runc make in it: /etc/hosts, /etc/resolv.conf, /proc, /sys, /dev, /tmp.
    await must('setpriv', [
      ...[`--reuid=${MAX}`, `--regid=${MAX}`, '--clear-groups', '/bin/sh', '-ec'],
      'cd "$0"; touch etc/hosts etc/resolv.conf; mkdir proc sys dev tmp',
      rootPath,
    ]);
    await garden.delete(plugin('delete', id));
  });

  test('without a mount says which mount to make', async () => {
    const id = newId();
    const spec = await garden.create(plugin('create', '--without-mount', tar, id));
    expect(spec.mounts).toHaveLength(1);
    const [mount] = spec.mounts;
    expect([mount?.destination, mount?.type, mount?.source]).toEqual(['/', 'overlay', 'overlay']);
    const options = mount?.options.join(',') ?? '';
    const target = store.dir.at('by-hand');
    mkdirSync(target);
    await must('mount', ['-t', 'overlay', 'overlay', '-o', options, target]);
    expect(existsSync(`${target}/etc/passwd`)).toBe(true);
    await must('umount', [target]);
    await garden.delete(plugin('delete', id));
  });

  test('of a handle in use fails, and does not harm it', async () => {
    const id = newId();
    const { rootPath } = await garden.create(plugin('create', tar, id));
    const again = await run('create', tar, id);
    expect(again.exitCode).toBe(1);
    expect(again.stdout).toStartWith(`image for id \`${id}\` already exists`);
    expect(existsSync(`${rootPath}/file`)).toBe(true);
    await garden.delete(plugin('delete', id));
  });

  test.each([
    ['a tar that is not there', '/nope.tar', /\/nope\.tar/],
    ['a directory', '/usr', /^invalid base image: directory provided instead of a tar file\n$/],
    ['a layout that is not there', 'oci:///nope', /^Image source doesn't exist/],
    ['a scheme that nobody knows', 'preloaded:cflinuxfs4', /preloaded/],
    ['nothing', '', /./],
  ])('of %s fails with one line, and leaves nothing', async (_name, image, sentence) => {
    const id = newId();
    const failed = await run('create', image, id);
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toMatch(sentence);
    expect(failed.stdout.split('\n')).toHaveLength(2);
    expect(existsSync(`${store.path}/images/${id}`)).toBe(false);
    expect(failed.relogged().every((entry) => entry.lager)).toBe(true);
  });

  test.each([['a/b'], ['..'], ['.'], ['../x'], ['x'.repeat(256)]])('of the id %p fails', async (id) => {
    const before = readdirSync(`${store.path}/images`);
    const failed = await run('create', tar, id);
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toMatch(/^id `/);
    expect(readdirSync(`${store.path}/images`)).toEqual(before);
  });

  test('with a limit that this store cannot enforce fails, and leaves nothing', async () => {
    const id = newId();
    const failed = await run('create', '--disk-limit-size-bytes', '100000000', tar, id);
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toStartWith('a disk limit was asked for, but the store');
    expect(existsSync(`${store.path}/images/${id}`)).toBe(false);
  });

  test('holds none of the caller’s pipes once it has answered, also when a clean follows', async () => {
    const id = newId();
    const made = await run('create', '--with-clean', tar, id);
    expect(made.exitCode).toBe(0);
    await garden.delete(plugin('delete', id));
  });
});

describe('stats', () => {
  test('counts the layers', async () => {
    const id = newId();
    await garden.create(plugin('create', tar, id));
    const stat = await garden.stats(plugin('stats', id));
    expect(stat.exclusiveBytesUsed).toBe(0n);
    expect(stat.totalBytesUsed).toBeGreaterThanOrEqual(100_000n);
    expect(await garden.stats(plugin('stats', `${store.path}/images/${id}`))).toEqual(stat);
    await garden.delete(plugin('delete', id));
  });

  test('of an unknown handle fails: Garden asks the other plugin then', async () => {
    const failed = await run('stats', 'nobody');
    expect([failed.exitCode, failed.stdout]).toEqual([1, 'Image `nobody` not found.\n']);
    // It happens for every privileged container at every poll, and is no error of anybody.
    expect(failed.stderrReads).toEqual([]);
  });

  test('of a path elsewhere fails', async () => {
    const failed = await run('stats', '/somewhere/else');
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toStartWith('path `/somewhere/else` is outside store path');
  });
});

describe('delete', () => {
  test('of what does not exist succeeds: Garden calls it on both plugins for every handle', async () => {
    const done = await run('delete', 'nobody');
    expect([done.exitCode, done.stdout]).toEqual([0, 'Image `nobody` not found. Skipping delete.\n']);
    expect(done.stderrReads).toEqual([]);
  });

  test('of what cannot exist succeeds too, and touches nothing', async () => {
    const before = readdirSync(store.path).sort();
    for (const id of [
      '..',
      '.',
      '../meta',
      'a/b',
      '/etc',
      `${store.path}/meta`,
      `${store.path}/images/..`,
      'x'.repeat(300),
    ]) {
      const done = await run('delete', id);
      expect([id, done.exitCode]).toEqual([id, 0]);
    }
    expect(readdirSync(store.path).sort()).toEqual(before);
    expect(existsSync('/etc/passwd')).toBe(true);
  });

  test('again succeeds, and leaves no mount and no directory', async () => {
    const id = newId();
    const { rootPath } = await garden.create(plugin('create', tar, id));
    const first = await run('delete', id);
    expect([first.exitCode, first.stdout]).toEqual([0, `Image ${id} deleted\n`]);
    expect((await run('delete', id)).exitCode).toBe(0);
    expect(existsSync(`${store.path}/images/${id}`)).toBe(false);
    expect(mountPointsBelow(rootPath)).toEqual([]);
  });

  test('by path', async () => {
    const id = newId();
    await garden.create(plugin('create', tar, id));
    await garden.delete(plugin('delete', `${store.path}/images/${id}`));
    expect(existsSync(`${store.path}/images/${id}`)).toBe(false);
  });

  test('in a store that was never made succeeds', async () => {
    const done = await runLikeGarden([GRAFT, '--store', store.dir.at('never'), 'delete', 'x']);
    expect(done.exitCode).toBe(0);
  });
});

describe('capacity', () => {
  test('is the size of the configuration', async () => {
    expect(await garden.capacity(plugin('capacity'))).toBe(107374182400n);
  });

  test('is 0 without one, which Garden leaves out', async () => {
    expect(await garden.capacity([GRAFT, 'capacity'])).toBe(0n);
  });
});

describe('many at once', () => {
  test('32 creates, then their stats and deletes, as Diego drives them', async () => {
    const handles = Array.from({ length: 32 }, newId);
    const specs = await Promise.all(handles.map((id) => garden.create(plugin('create', tar, id))));
    expect(new Set(specs.map(({ rootPath }) => rootPath)).size).toBe(32);
    for (const { rootPath } of specs) expect(existsSync(`${rootPath}/etc/passwd`)).toBe(true);
    await Promise.all(handles.map((id) => garden.stats(plugin('stats', id))));
    await Promise.all(handles.map((id) => garden.delete(plugin('delete', id))));
    expect(readdirSync(`${store.path}/images`)).toEqual([]);
  }, 120_000);
});
