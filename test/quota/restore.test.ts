/** After a reboot: root filesystems come back as they were, limits and all. */
import { expect, test } from 'bun:test';
import { rmSync, writeFileSync } from 'node:fs';
import { getProjectUsage } from '../../lib/sys/mounts/quota.ts';
import { graftMust } from '../support/graft.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { must, run } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';

const MiB = 1024 * 1024;

interface Usage {
  exclusive_bytes_used: number;
  quota_size_bytes: number;
}

async function usage(store: string): Promise<Usage> {
  const printed = await graftMust(['--store', store, 'stats', 'full']);
  return (JSON.parse(printed) as { disk_usage: Usage }).disk_usage;
}

test('a container that had used up its limit comes back writable, with the same limit', async () => {
  await using dir = quotaDir();
  const image = await makeBusyboxImage(dir.at('layout'));
  const store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
  const limit = ['--disk-limit-size-bytes', String(2 * MiB), '--exclude-image-from-quota'];
  await graftMust(['--store', store, 'create', ...limit, image.url, 'full']);
  const rootfs = `${store}/images/full/rootfs`;
  expect((await run('dd', ['if=/dev/zero', `of=${rootfs}/big`, 'bs=64k'])).stderr).toContain(
    'No space left on device',
  );
  await must('umount', [rootfs]);
  rmSync(`${store}/images/full/workdir/work`, { recursive: true, force: true });
  expect(await graftMust(['--store', store, 'init-store', '--restore-mounts'])).toBe(
    '1 root filesystems mounted again.\n',
  );
  rmSync(`${rootfs}/big`);
  // XFS frees what was removed in the background; asking for id 0 sets that off.
  while ((await usage(store)).exclusive_bytes_used > MiB) getProjectUsage({ path: store }, 0);
  writeFileSync(`${rootfs}/small`, 'writable');
  expect((await usage(store)).quota_size_bytes).toBe(2 * MiB);
  await graftMust(['--store', store, 'delete-store']);
}, 180_000);
