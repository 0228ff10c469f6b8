/** A delete that cannot remove all of a container tells what would not go, and can be called again. */
import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isPluginError, type PluginErrors } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { checkStore } from '../../../../lib/plugin/check.ts';
import { cleanStore } from '../../../../lib/plugin/clean.ts';
import { deleteImage } from '../../../../lib/plugin/delete.ts';
import { imageStats } from '../../../../lib/plugin/stats.ts';
import { storeUsage } from '../../../../lib/plugin/usage.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { MS, mount, unmount } from '../../../../lib/sys/mounts/mount.ts';
import { must } from '../../../support/shell.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';
import { mountPointsBelow } from '../../../support/temp.ts';

const ID = parseImageId('x');

function container(store: Store): string {
  const path = store.layout.image(ID);
  for (const name of ['diff/below', 'workdir', 'rootfs']) mkdirSync(`${path}/${name}`, { recursive: true });
  writeFileSync(`${path}/diff/below/file`, 'written');
  writeFileSync(`${path}/image_info`, '5');
  const record = { image: 'of it', manifestDigest: undefined, created: 'then', uses: [], lowers: [] };
  store.images.writeRecord(ID, { ...record, mounted: true, layers: [] });
  return path;
}

const remove = (path: string) => deleteImage(path, 'x', silentLogger);
const clean = (storePath: string) =>
  cleanStore({ storePath, thresholdBytes: 0, dryRun: false }, silentLogger);

async function failed(path: string): Promise<PluginErrors['IMAGE_DELETE_FAILED']> {
  const error = await remove(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isPluginError(error, 'IMAGE_DELETE_FAILED')) throw error ?? new Error('it was deleted');
  return error.subject;
}

function expectGone(store: Store): void {
  const { images, tmp, imageRecords } = store.layout;
  expect([images, tmp, imageRecords].map((directory) => readdirSync(directory))).toEqual([[], [], []]);
}

test('a file that is immutable: the path in full, the record and the id stay, and it is told everywhere', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  const image = container(store);
  const file = `${image}/diff/below/file`;
  await must('chattr', ['+i', file]);
  try {
    for (const _ of ['first', 'again']) {
      expect(await failed(path)).toEqual({ path: image, at: file, errno: 'EPERM' });
      expect(store.images.record(ID)).toMatchObject({ image: 'of it', deleting: true, mounted: false });
      expect([readdirSync(store.layout.images), readdirSync(store.layout.tmp)]).toEqual([['x'], []]);
    }
    expect(() => imageStats(path, 'x')).toThrow('IMAGE_NOT_FOUND');
    expect(storeUsage(store, 0).leaked.places).toEqual([image]);
    const found = await checkStore(store, false, silentLogger);
    expect(found.map(({ kind, what }) => [kind, what])).toEqual([['image-half', 'images/x']]);
    expect(await clean(path)).toMatchObject({ kind: 'cleaned', left: [{ path: file, errno: 'EPERM' }] });
    expect((await checkStore(store, true, silentLogger)).map(({ state }) => state)).toEqual(['failed']);
    expect(store.images.isBeingDeleted(ID)).toBe(true);
  } finally {
    await must('chattr', ['-i', file]);
  }
  expect(await remove(path)).toEqual({ id: 'x' });
  expectGone(store);
});

test('what would not go goes with the next clean once it can', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  const file = `${container(store)}/diff/below/file`;
  await must('chattr', ['+i', file]);
  await failed(path);
  await must('chattr', ['-i', file]);
  expect(await clean(path)).toMatchObject({ kind: 'cleaned', left: [] });
  expectGone(store);
});

test('what is mounted in a container is detached, and stays as it is', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  const image = container(store);
  const kept = `${path}/../kept`;
  mkdirSync(kept);
  writeFileSync(`${kept}/file`, 'a neighbour');
  for (const at of ['diff/below', 'workdir', 'rootfs']) mount(kept, `${image}/${at}`, '', MS.BIND);
  writeFileSync(`${image}/diff/plain`, '');
  mount(`${kept}/file`, `${image}/diff/plain`, '', MS.BIND);
  expect(await remove(path)).toEqual({ id: 'x' });
  expectGone(store);
  expect(mountPointsBelow(path)).toEqual([]);
  expect(readFileSync(`${kept}/file`, 'utf8')).toBe('a neighbour');
});

test('a mount beside what graft makes is an operator’s: it is named, and stays mounted', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  const image = container(store);
  mkdirSync(`${image}/mnt`);
  mount('none', `${image}/mnt`, 'tmpfs');
  writeFileSync(`${image}/mnt/file`, 'an operator’s');
  expect(await failed(path)).toEqual({ path: image, at: `${image}/mnt`, errno: 'EBUSY' });
  expect(mountPointsBelow(path)).toEqual([`${image}/mnt`]);
  expect(readFileSync(`${image}/mnt/file`, 'utf8')).toBe('an operator’s');
  expect(store.images.isBeingDeleted(ID)).toBe(true);
  unmount(`${image}/mnt`);
  expect(await remove(path)).toEqual({ id: 'x' });
  expectGone(store);
});

test('what a crash left and cannot be removed is named by every clean', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  // Nobody alive has that name.
  const file = `${store.layout.tmp}/nobody/below/file`;
  mkdirSync(`${store.layout.tmp}/nobody/below`, { recursive: true });
  writeFileSync(file, '');
  await must('chattr', ['+i', file]);
  for (const _ of ['first', 'again'])
    expect(await clean(path)).toMatchObject({ kind: 'cleaned', left: [{ path: file, errno: 'EPERM' }] });
  await must('chattr', ['-i', file]);
  expect(await clean(path)).toMatchObject({ kind: 'cleaned', left: [] });
  expect(existsSync(`${store.layout.tmp}/nobody`)).toBe(false);
});
