/** Layers as images in the quota kernel: its XFS has limits, and it mounts images through loop devices. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { readMountinfo } from '../../lib/sys/mounts/mountinfo.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { graft, graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { sh } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';

const MiB = 1024 * 1024;

test('are what directories are, with limits, and leave no loop device', async () => {
  await using dir = quotaDir();
  const image = await makeFaultImage(dir.at('layout'));
  const [plain, store] = [dir.at('plain'), dir.at('store')];
  const verb = (...args: string[]) => graftMust(['--store', store, ...args]);
  await graftMust(['--store', plain, 'init-store']);
  await verb('init-store', '--layers', 'images');
  const { way } = JSON.parse(readFileSync(`${store}/meta/graft.json`, 'utf8')).layers;
  const auto = await graft(['--store', dir.at('auto'), 'init-store', '--layers', 'auto']);
  // Kernels before 6.12 mount no image from its file.
  expect(auto.stdout.includes('Layers are written as directories: the kernel does not')).toBe(way === 'loop');

  const limit = ['--disk-limit-size-bytes', String(16 * MiB)];
  await graftMust(['--store', plain, 'create', ...limit, image, 'web']);
  for (const id of ['web', 'second']) await verb('create', ...limit, image, id);
  const roots = [plain, store].map((path) => `${path}/images/web/rootfs`);
  const differences = compareTrees(roots[0] ?? '', roots[1] ?? '', {
    directoryTimes: false,
    linkCounts: false,
  });
  expect(differences).toEqual([]);
  const [a, b] = await Promise.all(
    [plain, store].map(async (path) => JSON.parse(await graftMust(['--store', path, 'stats', 'web']))),
  );
  expect(b.disk_usage.total_bytes_used).toBe(a.disk_usage.total_bytes_used);
  const mounted = () =>
    readMountinfo().filter(({ mountPoint, fsType }) => mountPoint.startsWith(store) && fsType === 'erofs');
  expect(mounted().map(({ source }) => source.startsWith('/dev/loop'))).toEqual(
    Array(2).fill(way === 'loop'),
  );
  if (way === 'loop') {
    for (const name of mounted().map(({ source }) => source.slice('/dev/'.length)))
      expect(await sh('cd "/sys/block/$1" && cat ro loop/autoclear loop/dio', [name])).toBe('1\n1\n1\n');
  }
  expect(await verb('check')).toBe('Nothing is wrong.\n');
  for (const id of ['web', 'second']) await verb('delete', id);
  expect(mounted()).toEqual([]);
  expect(await sh('cat /sys/block/loop*/loop/backing_file 2>/dev/null || true', [])).not.toContain(
    'fs.erofs',
  );
  await verb('create', ...limit, image, 'last');
  await verb('delete-store');
  // Other files of this group look at the limits of the whole filesystem.
  await graftMust(['--store', plain, 'delete-store']);
  expect(mounted()).toEqual([]);
}, 240_000);
