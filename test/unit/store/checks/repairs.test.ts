/** What `check` found may be something else by the time it is repaired: other verbs do not wait for it. */
import { expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import type { Finding } from '../../../../lib/store/checks/finding.ts';
import { checkImages } from '../../../../lib/store/checks/images.ts';
import { checkLayers } from '../../../../lib/store/checks/layers.ts';
import { type ImageId, parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { shortName } from '../../../../lib/store/layout/layer-key.ts';
import type { ImageRecord } from '../../../../lib/store/records/image-record.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { withLock } from '../../../../lib/sys/exclusive/lock.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';
import { mountPointsBelow } from '../../../support/temp.ts';

const ID = parseImageId('x');
const RECORD: ImageRecord = {
  image: 'good',
  manifestDigest: undefined,
  created: '',
  uses: [],
  lowers: [],
  mounted: false,
  layers: [],
};

function directory(store: Store, id: ImageId): void {
  for (const name of ['diff', 'workdir', 'rootfs'])
    mkdirSync(`${store.layout.image(id)}/${name}`, { recursive: true });
}

/** A container that somebody has made meanwhile, and that is whole. */
function whole(store: Store): void {
  rmSync(store.layout.image(ID), { recursive: true, force: true });
  directory(store, ID);
  store.images.writeRecord(ID, RECORD);
}

async function repair(findings: readonly Finding[], kind: Finding['kind']): Promise<void> {
  expect(findings.map((finding) => finding.kind)).toEqual([kind]);
  for (const finding of findings) await finding.repair?.();
}

function expectWhole(store: Store): void {
  expect(readdirSync(store.layout.images)).toEqual([ID]);
  expect(store.images.record(ID)?.image).toBe('good');
}

test('a half image that is another one by now stays', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  directory(store, ID);
  const findings = checkImages(store, silentLogger);
  whole(store);
  await repair(findings, 'image-half');
  expectWhole(store);
});

test('a record without an image that has one by now stays', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  writeFileSync(store.layout.imageRecord(ID), '{}');
  const findings = checkImages(store, silentLogger);
  whole(store);
  await repair(findings, 'record-orphan');
  expectWhole(store);
});

test('a damaged record that is another one by now stays, with its image', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  directory(store, ID);
  // From before this boot: nothing runs on it.
  writeFileSync(store.layout.imageRecord(ID), '{');
  utimesSync(store.layout.imageRecord(ID), 0, 0);
  const findings = checkImages(store, silentLogger);
  expect(findings.map((finding) => finding.repair !== undefined)).toEqual([true]);
  whole(store);
  await repair(findings, 'image-record');
  expectWhole(store);
});

test('a leaked mount that belongs to an image by now stays', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const rootfs = store.layout.rootfs(ID);
  directory(store, ID);
  mount('none', rootfs, 'tmpfs');
  // Nothing but a mount can be below an image that is gone; the one that is made anew stands for both here.
  const exists = store.images.exists.bind(store.images);
  store.images.exists = () => false;
  store.images.list = () => [];
  const findings = checkImages(store, silentLogger);
  store.images.exists = exists;
  await repair(findings, 'mount-leaked');
  expect(mountPointsBelow(scratch.path)).toEqual([rootfs]);
});

test('a damaged layer that was fetched anew stays where it is', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const key = publishLayer(store, 'layer');
  const findings = checkLayers(store, silentLogger);
  // Renamed and not removed: the new one must not get its inode.
  renameSync(store.layout.volume(key), `${store.layout.tmp}/old`);
  publishLayer(store, 'layer');
  const { ino } = statSync(store.layout.volume(key));
  await repair(findings, 'layer-changed');
  expect(statSync(store.layout.volume(key)).ino).toBe(ino);
});

test('a dangling link whose layer was fetched anew stays', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const key = publishLayer(store, 'layer');
  const link = `${store.layout.links}/${shortName(key)}`;
  rmSync(store.layout.volume(key), { recursive: true });
  const findings = checkLayers(store, silentLogger);
  publishLayer(store, 'layer');
  await repair(findings, 'link-dangling');
  expect(existsSync(link)).toBe(true);
});

test('a layer that a clean takes while it is looked at is no damage', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const key = publishLayer(store, 'layer');
  const record = store.layers.record.bind(store.layers);
  store.layers.record = (asked) => {
    const found = record(asked);
    rmSync(store.layout.volume(key), { recursive: true });
    rmSync(`${store.layout.links}/${shortName(key)}`);
    return found;
  };
  expect(checkLayers(store, silentLogger)).toEqual([]);
});

test('what a clean at work has aside is no leftover, and is one when the clean is gone', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  mkdirSync(`${store.layout.volumes}/gc.aside`);
  const check = async () => checkLayers(store, silentLogger).map(({ kind }) => kind);
  const lock = { timeoutMs: 0, what: 'nobody' };
  expect(await withLock(store.layout.cleanLock, lock, check)).toEqual([]);
  expect(await check()).toEqual(['volume-set-aside']);
});

test('what is as it was found is repaired', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  directory(store, ID);
  symlinkSync('../volumes/none/fs', `${store.layout.links}/none`);
  const key = publishLayer(store, 'layer');
  await repair(checkImages(store, silentLogger), 'image-half');
  for (const finding of checkLayers(store, silentLogger)) await finding.repair?.();
  expect(readdirSync(store.layout.images)).toEqual([]);
  expect(existsSync(store.layout.volume(key))).toBe(false);
  expect(readdirSync(store.layout.links)).toEqual([]);
});
