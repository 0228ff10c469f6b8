/** Stores of other versions: what migrates them, what refuses them, and that a stopped migration is gone on with. */
import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { initStore } from '../../../../lib/store/init/init.ts';
import { removeStore } from '../../../../lib/store/init/remove-store.ts';
import { encodeFormat } from '../../../../lib/store/layout/format.ts';
import { DIRECTORIES } from '../../../../lib/store/layout/layer-form.ts';
import { type Layout, STORE_VERSION } from '../../../../lib/store/layout/layout.ts';
import {
  type MigrationStep,
  oldestOf,
  type StoreVersions,
  VERSIONS,
} from '../../../../lib/store/layout/versions.ts';
import { Store } from '../../../../lib/store/store.ts';
import { publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';

const deps = { run: () => ({ ok: false, complaint: '' }), log: silentLogger, directIo: false };
const none = { uids: [], gids: [] };
const mapped = { uids: [{ container: 0, host: 100000, size: 65536 }], gids: [] };

/** A later graft, of which the steps are these. */
function later(...steps: MigrationStep[]): StoreVersions {
  return { current: STORE_VERSION + steps.length, steps };
}

/** Moves what `add` made, and adds a file of its own, in three changes of which each may be done already. */
function rename(from: string, to: string, stop: () => void = () => undefined): MigrationStep {
  return ({ root }: Layout) => {
    mkdirSync(`${root}/${to}`, { recursive: true });
    stop();
    if (existsSync(`${root}/${from}/kept`)) {
      writeFileSync(`${root}/${to}/kept`, readFileSync(`${root}/${from}/kept`));
    }
    stop();
    rmSync(`${root}/${from}`, { recursive: true, force: true });
    stop();
  };
}
const add: MigrationStep = ({ root }) => {
  mkdirSync(`${root}/first`, { recursive: true });
  writeFileSync(`${root}/first/kept`, 'kept');
};

function versionOf({ marker }: Layout): number {
  return JSON.parse(readFileSync(marker, 'utf8')).version;
}

async function refusal(act: () => unknown): Promise<readonly [string, unknown]> {
  try {
    await act();
  } catch (error) {
    if (isPluginError(error)) return [error.code, error.subject];
    throw error;
  }
  return ['none', undefined];
}

test('the program has a step for every older version that it takes, and none for version 1', () => {
  expect(VERSIONS.current).toBe(STORE_VERSION);
  expect(oldestOf(VERSIONS)).toBe(2);
});

test('init-store takes every step in order; layers, mapping and project ids stay', async () => {
  await using scratch = await scratchStore(mapped);
  const { layout, format } = scratch.store;
  const layer = publishLayer(scratch.store, 'layer');
  const seen: number[] = [];
  const versions = later(
    (at, { version }) => [add(at, format), seen.push(version)],
    (at, { version }) => [rename('first', 'second')(at, format), seen.push(version)],
  );
  const { store } = await initStore({ path: scratch.path, sizeBytes: 0, mappings: mapped }, deps, versions);
  expect(seen).toEqual([3, 4]);
  expect(store.format).toEqual({ ...format, version: 5 });
  expect(store.layers.list()).toEqual([layer]);
  expect(readFileSync(`${layout.root}/second/kept`, 'utf8')).toBe('kept');
  expect(readdirSync(layout.root)).not.toContain('first');
  await initStore({ path: scratch.path, sizeBytes: 0, mappings: mapped }, deps, versions);
  expect(seen).toEqual([3, 4]);
});

test('a new store is made in the current version without any step', async () => {
  await using scratch = await scratchStore();
  const never: MigrationStep = () => {
    throw new Error('a step was taken');
  };
  const path = `${scratch.path}-new`;
  const { store } = await initStore({ path, sizeBytes: 0, mappings: none }, deps, later(never));
  expect(store.format.version).toBe(4);
});

test.each([1, 2, 3])(
  'a migration that is stopped at change %i is gone on with, not begun again',
  async (at) => {
    await using scratch = await scratchStore();
    const { layout } = scratch.store;
    let [firsts, changes] = [0, 0];
    const stop = () => {
      changes += 1;
      if (changes === at) throw new Error('stopped');
    };
    const versions = later(
      (where, format) => {
        firsts += 1;
        add(where, format);
      },
      rename('first', 'second', stop),
    );
    const init = () => initStore({ path: scratch.path, sizeBytes: 0, mappings: none }, deps, versions);
    await expect(init()).rejects.toThrow('stopped');
    expect([firsts, versionOf(layout)]).toEqual([1, 4]);
    expect(await refusal(() => Store.open(scratch.path, versions))).toEqual([
      'STORE_NOT_MIGRATED',
      { store: scratch.path, found: 4, known: 5 },
    ]);
    await init();
    expect([firsts, versionOf(layout)]).toEqual([1, 5]);
    expect(readFileSync(`${layout.root}/second/kept`, 'utf8')).toBe('kept');
    expect(readdirSync(layout.root)).not.toContain('first');
  },
);

test('other mappings than the store has are refused before any step', async () => {
  await using scratch = await scratchStore();
  const request = { path: scratch.path, sizeBytes: 0, mappings: mapped };
  const [code] = await refusal(() => initStore(request, deps, later(add)));
  expect(code).toBe('STORE_MAPPING_MISMATCH');
  expect(readdirSync(scratch.path)).not.toContain('first');
  expect(versionOf(scratch.store.layout)).toBe(3);
});

test('a store that a later graft has migrated is refused, also by init-store and delete-store', async () => {
  await using scratch = await scratchStore();
  const request = { path: scratch.path, sizeBytes: 0, mappings: none };
  await initStore(request, deps, later(add));
  const before = readdirSync(scratch.path, { recursive: true }).sort();
  const refused = ['STORE_VERSION', { store: scratch.path, found: 4, known: 3 }] as const;
  expect(await refusal(() => Store.open(scratch.path))).toEqual(refused);
  expect(await refusal(() => initStore(request, deps))).toEqual(refused);
  expect(await refusal(() => Store.openToRemove(scratch.path))).toEqual(refused);
  expect(readdirSync(scratch.path, { recursive: true }).sort()).toEqual(before);
});

test('a store of version 1 is refused as it is, and can be removed', async () => {
  await using scratch = await scratchStore();
  const { layout, format } = scratch.store;
  publishLayer(scratch.store, 'layer');
  writeFileSync(layout.marker, encodeFormat({ ...format, version: 1 }));
  const before = statSync(layout.marker);
  const refused = ['STORE_TOO_OLD', { store: scratch.path, found: 1 }] as const;
  expect(await refusal(() => Store.open(scratch.path))).toEqual(refused);
  const request = { path: scratch.path, sizeBytes: 0, mappings: none };
  expect(await refusal(() => initStore(request, deps))).toEqual(refused);
  expect(statSync(layout.marker)).toEqual(before);
  await removeStore(layout, deps);
  expect(existsSync(scratch.path)).toBe(false);
});

test('a store of version 2 says nothing about layers, and writes directories from its migration on', async () => {
  await using scratch = await scratchStore();
  const { layout, format } = scratch.store;
  const layer = publishLayer(scratch.store, 'layer');
  const { layers: _, ...before } = JSON.parse(
    Buffer.from(encodeFormat({ ...format, version: 2 })).toString(),
  );
  for (const path of [layout.marker, layout.markerCopy]) writeFileSync(path, JSON.stringify(before));
  expect(await refusal(() => Store.open(scratch.path))).toEqual([
    'STORE_NOT_MIGRATED',
    { store: scratch.path, found: 2, known: 3 },
  ]);
  const { store } = await initStore({ path: scratch.path, sizeBytes: 0, mappings: none }, deps);
  expect([store.format, store.layers.list()]).toEqual([{ ...format, layers: DIRECTORIES }, [layer]]);
  expect(versionOf(layout)).toBe(3);
});
