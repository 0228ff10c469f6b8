/** Limits on inodes, on a kernel that enforces them: empty files, which no limit on bytes sees. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listProjects } from '../../lib/sys/mounts/quota.ts';
import { graft, graftMust } from '../support/graft.ts';
import { makeImage } from '../support/images/images.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const FILES = 60;
let dir: TempDir;
let image: string;
let store: string;
beforeAll(async () => {
  dir = quotaDir();
  const layer = join(dir.path, 'layer/data');
  await Bun.$`mkdir -p ${layer}`;
  for (let i = 0; i < FILES; i += 1) writeFileSync(join(layer, `f${i}`), '');
  image = (await makeImage(dir.at('layout'), 'app', [dir.at('layer')])).url;
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
});
afterAll(async () => {
  await graftMust(['--store', store, 'delete-store']);
  await dir.remove();
});

const on = (...args: string[]) => graft(['--store', store, ...args]);

/** Makes empty files until the kernel refuses; how many there are then, and with which error. */
function fill(directory: string, most: number): { made: number; code: string | undefined } {
  for (let made = 0; made < most; made += 1) {
    try {
      writeFileSync(join(directory, `new-${made}`), '');
    } catch (error) {
      return { made, code: (error as { code?: string }).code };
    }
  }
  return { made: most, code: undefined };
}

test('the file after the last one fails, others do not notice, whiteouts of one inode count once, delete clears it', async () => {
  const limits = ['--inode-limit', '100', '--exclude-image-from-quota'];
  expect((await on('create', ...limits, image, 'one')).code).toBe(0);
  expect((await on('create', ...limits, image, 'two')).code).toBe(0);
  const rootfs = (id: string) => join(store, 'images', id, 'rootfs');
  const { made, code } = fill(rootfs('one'), 200);
  expect([code, made > 80 && made < 100]).toEqual(['ENOSPC', true]);
  expect(fill(rootfs('two'), 20)).toEqual({ made: 20, code: undefined });
  const stats = JSON.parse((await on('stats', 'one')).stdout) as { disk_usage: Record<string, number> };
  expect(stats.disk_usage).toMatchObject({ inodes_used: 100, inode_limit: 100, quota_size_bytes: 0 });
  for (const value of Object.values(stats.disk_usage)) expect(Number.isSafeInteger(value)).toBe(true);
  // 60 deleted files of the image are links to one whiteout (overlayfs, since Linux 5.8): far fewer than 60 inodes.
  for (const name of readdirSync(join(rootfs('two'), 'data'))) rmSync(join(rootfs('two'), 'data', name));
  const after = JSON.parse((await on('stats', 'two')).stdout) as { disk_usage: Record<string, number> };
  expect(after.disk_usage['inodes_used']).toBeLessThan(50);
  for (const id of ['one', 'two']) expect((await on('delete', id)).code).toBe(0);
  expect(
    [...listProjects({ path: store })].filter(({ id, usage }) => id > 0 && usage.inodeLimit > 0),
  ).toEqual([]);
});

test('an inclusive limit counts the layers, and is held against them before the container exists', async () => {
  const refused = await on('create', '--inode-limit', '50', image, 'tight');
  expect([refused.code, refused.stdout]).toEqual([
    1,
    expect.stringMatching(
      /^the inode limit of 50 is smaller than the image, whose layers have 6\d files and dir/,
    ),
  ]);
  expect(readdirSync(join(store, 'images'))).toEqual([]);
  expect((await on('create', '--inode-limit', '200', image, 'whole')).code).toBe(0);
  const usage = JSON.parse((await on('usage', '--json')).stdout) as { images: { inodeLimit: number }[] };
  expect(usage.images[0]?.inodeLimit).toBeGreaterThan(130);
  expect(usage.images[0]?.inodeLimit).toBeLessThan(141);
  expect((await on('check')).code).toBe(0);
  await on('delete', 'whole');
});
