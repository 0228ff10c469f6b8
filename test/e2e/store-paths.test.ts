/** Ids and stores with whatever names Linux allows. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { makeFaultImage } from '../support/faults/image.ts';
import { graft, graftMust } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { contents } from '../support/stores/names.ts';
import { mountXfs, type TestStore, testStore } from '../support/stores/store.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
let image: string;
let store: TestStore;
beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
  store = await testStore();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await dir.remove();
});

const IDS: readonly string[] = [
  'a:b,c\\d',
  'with spaces in it',
  ' blank at both ends ',
  'ünïcödé-容器-🚢',
  '%2e%2e',
  '$HOME`id`*?[x]',
  'quote\'"',
  '-starts-with-a-dash',
  '--help',
  '.hidden',
  '...',
  'gc.stack-0',
  '_=+~@#;&|<>(){}!^',
  'b'.repeat(255),
  '容'.repeat(85),
  'a\u0301 and \u00e1',
  '\u202etxet ltr',
];

for (const id of IDS) {
  test(`the id ${JSON.stringify(id.slice(0, 30))}`, async () => {
    const spec = JSON.parse(await store.must(['create', '--', image, id])) as { root: { path: string } };
    expect(spec.root.path).toBe(`${store.path}/images/${id}/rootfs`);
    expect(readFileSync(`${spec.root.path}/etc/name`, 'utf8')).toBe('bottom');
    expect(mountPointsBelow(store.path)).toEqual([spec.root.path]);
    const stats = JSON.parse(await store.must(['stats', '--', id])) as {
      disk_usage: { total_bytes_used: number };
    };
    expect(stats.disk_usage.total_bytes_used).toBeGreaterThan(100_000);
    // A character that a terminal obeys is shown by its number; JSON gives it back as it is.
    const shown = id.replace('\u202e', '\\u{202e}');
    expect(await store.must(['list'])).toBe(`${store.path}/images/${shown}\n`);
    expect(JSON.parse(await store.must(['list', '--json']))).toMatchObject([{ id }]);
    expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
    expect(await store.must(['stats', '--', `${store.path}/images/${id}`])).toBe(
      `${JSON.stringify(stats)}\n`,
    );
    const twice = await store.graft(['create', '--', image, id]);
    expect([twice.code, twice.stdout]).toEqual([1, expect.stringContaining('already exists')]);
    await store.must(['delete', '--', id]);
    expect(readdirSync(`${store.path}/images`)).toEqual([]);
  });
}

test.each([
  ['', /id/],
  ['.', /directory name/],
  ['..', /directory name/],
  ['a/b', /invalid characters: `\/`/],
  ['/absolute', /invalid characters|outside store/],
  ['new\nline', /control characters/],
  ['b'.repeat(256), /longer than 255 bytes/],
  ['容'.repeat(86), /longer than 255 bytes/],
])('the id %j is none', async (id, why) => {
  const created = await store.graft(['create', '--', image, id]);
  expect([created.code, created.stdout]).toEqual([1, expect.stringMatching(why)]);
  expect(created.stdout).toMatch(/^[^\n]+\n$/);
  expect((await store.graft(['stats', '--', id])).code).toBe(1);
  if (id !== '') expect((await store.graft(['delete', '--', id])).code).toBe(0);
  expect(contents(store.path).filter((path) => /images|leases|tmp/.test(path))).toEqual([]);
});

const STORES: readonly string[] = [
  'with,comma',
  'with:colon',
  'with blank',
  'back\\slash',
  'a,b:c\\d "e" 容器',
  '100%',
  "$(touch x) 'y'",
  'n'.repeat(200),
];

for (const name of STORES) {
  test(`a store called ${JSON.stringify(name.slice(0, 30))}`, async () => {
    await using home = tempDir();
    const disk = await mountXfs(home.path);
    const path = `${disk}/${name}/store`;
    const verb = (...args: string[]) => graftMust(['--store', path, ...args]);
    await verb('init-store');
    for (const mount of [['--with-mount'], ['--without-mount']]) {
      const spec = JSON.parse(await verb('create', ...mount, image, 'id')) as { root: { path: string } };
      expect(spec.root.path).toBe(`${path}/images/id/rootfs`);
      if (mount[0] === '--with-mount')
        expect(readFileSync(`${path}/images/id/rootfs/etc/again`).length).toBe(100_000);
      expect(await verb('check')).toBe('Nothing is wrong.\n');
      await verb('delete', `${path}/images/id`);
    }
    await verb('clean');
    expect(contents(path)).toEqual([]);
    await verb('delete-store');
    expect(readdirSync(`${disk}/${name}`)).toEqual([]);
  });
}

test('a store is made where no symbolic link is on the way, and found through one', async () => {
  await using home = tempDir();
  const disk = await mountXfs(home.path);
  mkdirSync(`${disk}/real`);
  symlinkSync('real', `${disk}/link`);
  const link = `${disk}/link`;
  const verb = (path: string, ...args: string[]) => graft(['--store', path, ...args]);
  const refused = await verb(link, 'init-store');
  const reason = 'it is a symbolic link; give the path that it leads to';
  expect([refused.code, refused.stdout]).toEqual([1, `store path '${link}' cannot be used: ${reason}\n`]);
  expect((await verb(`${disk}/real`, 'init-store')).code).toBe(0);
  expect((await verb(link, 'create', image, 'x')).code).toBe(0);
  expect(readFileSync(`${link}/images/x/rootfs/etc/name`, 'utf8')).toBe('bottom');
  for (const path of [link, `${disk}/real`, `${link}/`, `${disk}//real/.`]) {
    expect([path, (await verb(path, 'stats', 'x')).code]).toEqual([path, 0]);
    expect([path, (await verb(path, 'check')).stdout]).toEqual([path, 'Nothing is wrong.\n']);
  }
  expect((await verb(`${disk}/real`, 'delete', 'x')).code).toBe(0);
  expect(mountPointsBelow(disk)).toEqual([disk]);
  expect((await verb(link, 'clean')).code).toBe(0);
  expect(contents(`${disk}/real`)).toEqual([]);
});

test.each([['x'], ['x/y/z']])(
  'a store below a regular file, at %s, is refused with the name of that file',
  async (below) => {
    await using home = tempDir();
    writeFileSync(home.at('file'), 'kept');
    const path = home.at('file', below);
    for (const options of [[], ['--store-size-bytes', '1073741824']]) {
      const ran = await graft(['--store', path, 'init-store', ...options]);
      const reason = `${home.at('file')} is not a directory; choose a path below one`;
      expect([ran.code, ran.stdout]).toEqual([1, `store path '${path}' cannot be used: ${reason}\n`]);
    }
    expect([readdirSync(home.path), readFileSync(home.at('file'), 'utf8')]).toEqual([['file'], 'kept']);
  },
);

test('a store of another size than is asked for says which one it has', async () => {
  await using home = tempDir();
  const init = (bytes: number) =>
    graftMust(['--store', home.at('store'), 'init-store', '--store-size-bytes', String(bytes)]);
  const MiB = 1024 * 1024;
  const first = await init(320 * MiB);
  expect(await init(320 * MiB)).toBe(first);
  for (const other of [640 * MiB, 310 * MiB])
    expect(await init(other)).toBe(
      `${first}The store keeps its size of 335544320 bytes (320 MiB); it can only grow, when it is mounted the next time.\n`,
    );
  // A larger one is taken then.
  await must('umount', [home.at('store')]);
  expect(await init(640 * MiB)).toBe(first);
  expect(statSync(home.at('store.backing-store')).size).toBe(640 * MiB);
});
