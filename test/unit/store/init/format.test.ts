import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { initStore } from '../../../../lib/store/init/init.ts';
import { STORE_DIRECTORIES } from '../../../../lib/store/layout/layout.ts';
import { Store } from '../../../../lib/store/store.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';
import { tempDir } from '../../../support/temp.ts';

const deps = { run: () => ({ ok: false, complaint: '' }), log: silentLogger, directIo: false };
const none = { uids: [], gids: [] };

async function codeOf(act: () => unknown): Promise<string> {
  try {
    await act();
    return 'none';
  } catch (error) {
    return isPluginError(error) ? error.code : String(error);
  }
}

test('a new store has its directories, all root’s; the mapped root may pass through two of them', async () => {
  const mappings = {
    uids: [
      { container: 0, host: 4294967294, size: 1 },
      { container: 1, host: 1, size: 4294967293 },
    ],
    gids: [
      { container: 0, host: 4294967294, size: 1 },
      { container: 1, host: 1, size: 4294967293 },
    ],
  };
  await using scratch = await scratchStore(mappings);
  const root = statSync(scratch.path);
  expect([root.uid, root.gid, root.mode & 0o7777]).toEqual([0, 4294967294, 0o710]);
  for (const name of STORE_DIRECTORIES) {
    const stat = statSync(`${scratch.path}/${name}`);
    const passage = name === 'images' ? [4294967294, 0o710] : [0, 0o700];
    expect([name, stat.isDirectory(), stat.uid, stat.gid, stat.mode & 0o7777]).toEqual([
      name,
      true,
      0,
      ...passage,
    ]);
  }
  expect(Store.open(scratch.path).format.mappings).toEqual(mappings);
});

test('init-store again changes nothing; with other mappings it is refused and names both', async () => {
  await using scratch = await scratchStore();
  await initStore({ path: scratch.path, sizeBytes: 0, mappings: none }, deps);
  const other = { uids: [{ container: 0, host: 5, size: 1 }], gids: [] };
  const error = await initStore({ path: scratch.path, sizeBytes: 0, mappings: other }, deps).catch(
    (e: unknown) => e,
  );
  expect(isPluginError(error, 'STORE_MAPPING_MISMATCH')).toBe(true);
  expect((error as { subject: unknown }).subject).toEqual({ kind: 'UID', wanted: '0:5:1', stored: '' });
});

test('a store of GrootFS is recognised and left alone', async () => {
  await using dir = tempDir();
  mkdirSync(`${dir.path}/store/meta/dependencies`, { recursive: true });
  writeFileSync(`${dir.path}/store/meta/namespace.json`, '{}');
  const path = `${dir.path}/store`;
  expect(await codeOf(() => Store.open(path))).toBe('STORE_FOREIGN');
  expect(await codeOf(() => initStore({ path, sizeBytes: 0, mappings: none }, deps))).toBe('STORE_FOREIGN');
  expect(readdirSync(path)).toEqual(['meta']);
});

test('the directory under a loop mount that is missing is not taken for an empty store', async () => {
  await using dir = tempDir();
  mkdirSync(`${dir.path}/store`);
  writeFileSync(`${dir.path}/store.backing-store`, 'XFSB');
  expect(await codeOf(() => Store.open(`${dir.path}/store`))).toBe('STORE_NOT_MOUNTED');
});

test.each([
  ['{', 'STORE_MARKER_DAMAGED'],
  ['[]', 'STORE_MARKER_DAMAGED'],
  ['{"format":"other"}', 'STORE_MARKER_DAMAGED'],
  ['{"format":"graft-store","version":99}', 'STORE_VERSION'],
  ['{"format":"graft-store","version":"2"}', 'STORE_MARKER_DAMAGED'],
  ['{"format":"graft-store","version":0}', 'STORE_MARKER_DAMAGED'],
  [
    '{"format":"graft-store","version":1,"uid-mappings":[],"gid-mappings":[],"first-project-id":2}',
    'STORE_TOO_OLD',
  ],
  [
    '{"format":"graft-store","version":2,"uid-mappings":[],"gid-mappings":[],"first-project-id":1}',
    'STORE_MARKER_DAMAGED',
  ],
  [
    '{"format":"graft-store","version":2,"uid-mappings":["x"],"gid-mappings":[],"first-project-id":2}',
    'STORE_MARKER_DAMAGED',
  ],
])('marker %s: %s', async (text, code) => {
  await using scratch = await scratchStore();
  writeFileSync(scratch.store.layout.marker, text);
  expect(await codeOf(() => Store.open(scratch.path))).toBe(code);
});

test('no store: says so, for a missing path, an empty directory and a file', async () => {
  await using dir = tempDir();
  writeFileSync(`${dir.path}/file`, '');
  for (const path of [`${dir.path}/nothing`, dir.path, `${dir.path}/file`]) {
    expect(await codeOf(() => Store.open(path))).toBe('STORE_NOT_INITIALIZED');
  }
  expect(await codeOf(() => Store.open('/'))).toBe('STORE_BAD_PATH');
  expect(
    await codeOf(() => initStore({ path: `${dir.path}/file`, sizeBytes: 0, mappings: none }, deps)),
  ).toBe('STORE_BAD_PATH');
  rmSync(`${dir.path}/file`);
});

test('a size given for a directory that holds files makes no loop file over them', async () => {
  await using dir = tempDir();
  const path = `${dir.path}/taken`;
  mkdirSync(path);
  writeFileSync(`${path}/precious`, '');
  expect(await codeOf(() => initStore({ path, sizeBytes: 2 ** 30, mappings: none }, deps))).toBe(
    'STORE_BAD_PATH',
  );
  mkdirSync(`${dir.path}/groot/meta/dependencies`, { recursive: true });
  const groot = { path: `${dir.path}/groot`, sizeBytes: 2 ** 30, mappings: none };
  expect(await codeOf(() => initStore(groot, deps))).toBe('STORE_FOREIGN');
  expect(readdirSync(dir.path).sort()).toEqual(['groot', 'taken']);
  expect(readdirSync(path)).toEqual(['precious']);
});

test('a store that was made without a loop file stays without one when a size is given later', async () => {
  await using scratch = await scratchStore();
  await initStore({ path: scratch.path, sizeBytes: 2 ** 30, mappings: none }, deps);
  expect(existsSync(`${scratch.path}.backing-store`)).toBe(false);
});

test('an init-store that fails leaves no directory it made; where none can be made it says so', async () => {
  await using dir = tempDir();
  const small = { path: `${dir.path}/small`, sizeBytes: 1000, mappings: none };
  expect(await codeOf(() => initStore(small, deps))).toBe('STORE_TOO_SMALL');
  expect(readdirSync(dir.path)).toEqual([]);
  expect(await codeOf(() => initStore({ path: '/proc/store', sizeBytes: 0, mappings: none }, deps))).toBe(
    'STORE_BAD_PATH',
  );
});
