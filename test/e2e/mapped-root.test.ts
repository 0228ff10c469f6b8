/** What the root of a mapped container, and an ordinary user of the host, reach of a store by the host's names. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { must, run } from '../support/shell.ts';
import { INIT, MAPS, ROOT } from '../support/stores/garden-mapping.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const BUSYBOX = '/bin/busybox';
const ORDINARY = 65534;

/** A tar with a shell and a setuid program of its root's. */
async function makeTar(store: TestStore): Promise<string> {
  const root = store.dir.at('root');
  for (const name of ['bin', 'etc', 'proc', 'dev']) mkdirSync(`${root}/${name}`, { recursive: true });
  copyFileSync(BUSYBOX, `${root}/bin/busybox`);
  for (const name of ['sh', 'id', 'touch']) symlinkSync('busybox', `${root}/bin/${name}`);
  copyFileSync('/usr/bin/id', `${root}/bin/setuid-id`);
  chmodSync(`${root}/bin/setuid-id`, 0o4755);
  writeFileSync(`${root}/etc/hosts`, '');
  const tar = store.dir.at('image.tar');
  await must('tar', ['-C', root, '-cf', tar, '.']);
  return tar;
}

interface World {
  readonly store: TestStore;
  readonly layer: string;
}

/** A store with a container, on the way to which nothing is closed but what graft has closed. */
async function makeWorld(init: readonly string[], createOptions: readonly string[] = []): Promise<World> {
  const store = await testStore({ init });
  const tar = await makeTar(store);
  for (const id of ['own', 'other'])
    writeFileSync(store.dir.at(`${id}.json`), await store.must(['create', ...createOptions, tar, id]));
  for (let path = store.path; path !== '/tmp' && path !== '/'; path = path.replace(/\/[^/]+$/, '') || '/')
    if (path !== store.path) chmodSync(path, statSync(path).mode | 0o111);
  return { store, layer: readdirSync(`${store.path}/volumes`)[0] ?? '' };
}

/** A process of this user, without capabilities, as one that has come out of its container has it. */
function as(id: number, ...argv: string[]) {
  return run('setpriv', [
    `--reuid=${id}`,
    `--regid=${id}`,
    '--clear-groups',
    '--bounding-set=-all',
    '--inh-caps=-all',
    ...argv,
  ]);
}

const DIRECTORIES = ['', 'images', 'volumes', 'l', 'meta', 'meta/images', 'locks', 'projectids', 'tmp'];

/** Every way to change a directory's names; each must be refused. */
function changes(path: string): string[][] {
  return [
    ['touch', `${path}/new`],
    ['mkdir', `${path}/new`],
    ['ln', '-s', '/', `${path}/new`],
    ['mv', path, `${path}.moved`],
    ['chmod', '0777', path],
    ['ls', path],
  ];
}

async function refusals(id: number, commands: readonly string[][]): Promise<string[]> {
  const succeeded: string[] = [];
  for (const argv of commands) if ((await as(id, ...argv)).code === 0) succeeded.push(argv.join(' '));
  return succeeded;
}

/** The container in a user namespace of its own, by runc(8), with Garden's mapping. */
async function runc(store: TestStore, id: string, script: string): Promise<string> {
  const bundle = store.dir.at(`bundle-${id}`);
  mkdirSync(bundle);
  await must('runc', ['spec'], { cwd: bundle });
  const spec = await Bun.file(`${bundle}/config.json`).json();
  const fragment = await Bun.file(store.dir.at(`${id}.json`)).json();
  const maps = MAPS.map((map) => map.split(':').map(Number));
  const mappings = maps.map(([containerID, hostID, size]) => ({ containerID, hostID, size }));
  const kept = spec.mounts.filter(({ destination }: { destination: string }) => destination === '/proc');
  const merged = {
    ...spec,
    root: { path: fragment.root.path },
    process: { ...spec.process, terminal: false, args: ['/bin/sh', '-c', script] },
    mounts: [...(fragment.mounts ?? []), ...kept],
    linux: {
      ...spec.linux,
      resources: undefined,
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'user'].map((type) => ({ type })),
      uidMappings: mappings,
      gidMappings: mappings,
    },
  };
  writeFileSync(`${bundle}/config.json`, JSON.stringify(merged));
  const state = ['--root', store.dir.at('runc')];
  const ran = await run('runc', [...state, 'run', '--bundle', bundle, `graft-${crypto.randomUUID()}`]);
  return `${ran.stdout}${ran.stderr}`;
}

describe('a store with a mapping', () => {
  let world: World;
  beforeAll(async () => {
    world = await makeWorld(INIT);
  });
  afterAll(() => world?.store[Symbol.asyncDispose]());

  test('runc starts a container in its user namespace, which writes its root filesystem', async () => {
    const said = await runc(world.store, 'own', 'touch /made /etc/hosts && id -u');
    expect(said).toBe('0\n');
    expect(statSync(`${world.store.path}/images/own/diff/made`).uid).toBe(ROOT);
  });

  test('its root changes and lists no directory of the store, nor what another container has beside its own', async () => {
    const { path } = world.store;
    const tops = DIRECTORIES.map((name) => (name === '' ? path : `${path}/${name}`));
    const others = [`${path}/volumes/${world.layer}`, `${path}/images/other`];
    const files = ['image_info', 'workdir/new', 'diff.new'].map((name) => [
      'sh',
      '-c',
      `echo x >> ${path}/images/own/${name}`,
    ]);
    expect(await refusals(ROOT, [...tops, ...others].flatMap(changes).concat(files))).toEqual([]);
  });

  test('its root reaches no layer, by no name that it may know', async () => {
    const { path } = world.store;
    const [short = ''] = readdirSync(`${path}/l`);
    const commands = [`${path}/volumes/${world.layer}/fs`, `${path}/l/${short}`].flatMap((tree) => [
      ['ls', tree],
      ['cat', `${tree}/etc/hosts`],
      ['sh', '-c', `echo evil > ${tree}/bin/sh`],
    ]);
    expect(await refusals(ROOT, commands)).toEqual([]);
    expect(await refusals(ROOT, [['ls', `${path}/images/own/rootfs/bin`]])).toHaveLength(1);
  });

  test('root of a user namespace of its own has no more', async () => {
    const { path } = world.store;
    const inside = (command: string) => as(ROOT, 'unshare', '-Urm', 'sh', '-c', command);
    expect((await inside('id -u')).stdout).toBe('0\n');
    for (const target of [`${path}/tmp`, `${path}/images`, `${path}/volumes/${world.layer}/fs/bin`]) {
      const tries = [`touch ${target}/new`, `ls ${target}`, `mount --bind ${target} /mnt && ls /mnt`];
      for (const command of tries)
        expect([command, (await inside(command)).code === 0]).toEqual([command, false]);
    }
  });

  test('an ordinary user executes nothing in it', async () => {
    expect(await executables(world, ORDINARY)).toEqual([]);
  });

  test('the next verbs work', async () => {
    expect(await world.store.must(['check'])).toBe('Nothing is wrong.\n');
  });
});

/** What this user can execute of the setuid programs, by any of their names. */
function executables({ store: { path }, layer }: World, id: number): Promise<string[]> {
  const trees = [`volumes/${layer}/fs`, 'images/own/rootfs', 'images/own/diff', `l/${layer}`];
  // By a shell: setpriv(1) itself looks its command up before it has lost its capabilities.
  const commands = trees.map((tree) => ['sh', '-c', `exec ${path}/${tree}/bin/setuid-id`]);
  return refusals(id, [...commands, ['ls', path]]);
}

test('a store without a mapping is closed to everybody but root, and its containers start', async () => {
  const world = await makeWorld([]);
  await using store = world.store;
  for (const name of DIRECTORIES)
    expect([name, statSync(`${store.path}/${name}`).mode & 0o777]).toEqual([name, 0o700]);
  const { uid, gid, mode } = statSync(`${store.path}/images/own`);
  expect([uid, gid, mode & 0o7777]).toEqual([0, 0, 0o700]);
  expect(statSync(`${store.path}/images/own/rootfs/bin/setuid-id`).mode & 0o7777).toBe(0o4755);
  expect(await executables(world, ORDINARY)).toEqual([]);
  expect(await executables(world, ROOT)).toEqual([]);
});

test('--without-mount: runc mounts the overlay in the user namespace, and the directories stay root’s', async () => {
  const world = await makeWorld(INIT, ['--without-mount']);
  await using store = world.store;
  expect(await runc(store, 'own', 'touch /made /etc/hosts && id -u')).toBe('0\n');
  const tops = DIRECTORIES.map((name) => (name === '' ? store.path : `${store.path}/${name}`));
  const commands = [...tops, `${store.path}/volumes/${world.layer}`].flatMap(changes);
  expect(await refusals(ROOT, commands)).toEqual([]);
  expect(await executables(world, ORDINARY)).toEqual([]);
  await store.must(['init-store', ...INIT]);
  expect(await runc(store, 'other', 'id -u')).toBe('0\n');
  expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
});
