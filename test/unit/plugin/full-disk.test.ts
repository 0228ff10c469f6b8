/** What gives space back must work where there is none, and what finds nothing to do where nothing can be written. */
import { expect, test } from 'bun:test';
import { closeSync, openSync, writeSync } from 'node:fs';
import { silentLogger } from '../../../lib/base/log.ts';
import { cleanStore } from '../../../lib/plugin/clean.ts';
import { deleteImage } from '../../../lib/plugin/delete.ts';
import { initStore } from '../../../lib/store/init/init.ts';
import type { Store } from '../../../lib/store/store.ts';
import { must } from '../../support/shell.ts';
import { publishLayer } from '../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

/** A store on a small disk of its own. */
async function smallDisk(dir: TempDir): Promise<Store> {
  await must('mount', ['-t', 'tmpfs', '-o', 'size=4m,nr_inodes=200', 'tmpfs', dir.path]);
  const mappings = { uids: [], gids: [] };
  const run = () => ({ ok: false, complaint: 'no program may be needed' });
  const deps = { run, log: silentLogger, directIo: false };
  const { store } = await initStore({ path: dir.at('store'), sizeBytes: 0, mappings }, deps);
  return store;
}

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(fd);
  }
}

test('a clean makes room on a disk that is full to the last byte', async () => {
  await using dir = tempDir();
  using store = await smallDisk(dir);
  publishLayer(store, 'unused');
  fill(dir.at('filled'));
  const request = { storePath: store.layout.root, thresholdBytes: 0, dryRun: false };
  expect(await cleanStore(request, silentLogger)).toMatchObject({ kind: 'cleaned', volumes: 1 });
  expect(store.layers.list()).toEqual([]);
});

test('a clean makes room on a disk that takes no other file, not even a lock', async () => {
  await using dir = tempDir();
  using store = await smallDisk(dir);
  publishLayer(store, 'unused');
  for (let i = 0; ; i += 1) {
    try {
      closeSync(openSync(dir.at(`filled-${i}`), 'w'));
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
      break;
    }
  }
  const request = { storePath: store.layout.root, thresholdBytes: 0, dryRun: false };
  expect(await cleanStore(request, silentLogger)).toMatchObject({ kind: 'cleaned', volumes: 1 });
  expect(store.layers.list()).toEqual([]);
});

test('an image that is not there is not missed on a read-only disk', async () => {
  await using dir = tempDir();
  using store = await smallDisk(dir);
  await must('mount', ['-o', 'remount,ro', dir.path]);
  expect(await deleteImage(store.layout.root, 'nobody', silentLogger)).toEqual({ notFound: 'nobody' });
});
