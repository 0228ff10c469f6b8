import { expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { silentLogger } from '../../../lib/base/log.ts';
import { cleanStore } from '../../../lib/plugin/clean.ts';
import { withLock } from '../../../lib/sys/exclusive/lock.ts';
import { close, openAt } from '../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, check, nr, O, syscall } from '../../../lib/sys/kernel/libc.ts';
import { publishLayer, scratchStore } from '../../support/stores/scratch-store.ts';

const LOCK_SH = 1;
/** The gate and the lock each wait as long as the program does. */
const MINUTE = 60_000;

test(
  'a clean that a create keeps waiting at the gate fails and names it, and takes nothing',
  async () => {
    await using scratch = await scratchStore();
    const { store, path } = scratch;
    const layer = publishLayer(store, 'unused');
    // As a create that was stopped while it named its layers.
    const gate = openAt(AT_FDCWD, store.layout.leases, O.RDONLY | O.DIRECTORY);
    try {
      check(syscall(nr.flock, gate, LOCK_SH), 'flock', store.layout.leases);
      const clean = cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
      await expect(clean).rejects.toMatchObject({
        code: 'STORE_BUSY',
        subject: { what: 'a create that is naming its layers' },
      });
    } finally {
      close(gate);
    }
    expect(readdirSync(store.layout.volumes)).toEqual([layer]);
    const clean = await cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
    expect(clean).toMatchObject({ kind: 'cleaned', volumes: 1 });
  },
  MINUTE,
);

test(
  'a clean that finds another one at work says so',
  async () => {
    await using scratch = await scratchStore();
    const { store, path } = scratch;
    const clean = () => cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
    const lock = { timeoutMs: 0, what: 'nobody' };
    const found = await withLock(`${store.layout.locks}/clean`, lock, clean);
    expect(found).toEqual({ kind: 'already-running' });
  },
  MINUTE,
);
