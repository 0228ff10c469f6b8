/** `graft usage` where writes are counted: each container's own, its limit, and the sum of all limits. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { graftMust } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const MiB = 1024 * 1024;
let dir: TempDir;
const on = (...args: string[]) => graftMust(['--store', dir.at('store'), ...args]);
beforeAll(async () => {
  dir = quotaDir();
  await on('init-store');
});
afterAll(async () => {
  await on('delete-store');
  await dir.remove();
});

interface Usage {
  readonly images: readonly {
    id: string;
    exclusiveBytes?: number;
    quotaBytes?: number;
    layerBytes: number;
  }[];
  readonly committedBytes: number;
}

test('writes are the container’s that made them, and limits are added up', async () => {
  mkdirSync(dir.at('tree'));
  writeFileSync(dir.at('tree/file'), 'of the image');
  await must('tar', ['-C', dir.at('tree'), '-cf', dir.at('image.tar'), '.']);
  const limit = (bytes: number) => ['--disk-limit-size-bytes', String(bytes), '--exclude-image-from-quota'];
  const { root } = JSON.parse(await on('create', ...limit(16 * MiB), dir.at('image.tar'), 'writes'));
  await on('create', ...limit(8 * MiB), dir.at('image.tar'), 'idle');
  await on('create', dir.at('image.tar'), 'free');
  writeFileSync(`${root.path}/big`, Buffer.alloc(4 * MiB, 1));

  const usage = JSON.parse(await on('usage', '--json')) as Usage;
  const of = (id: string) => usage.images.find((image) => image.id === id);
  expect(of('writes')?.quotaBytes).toBe(16 * MiB);
  // XFS may have set aside more behind the end of the file, and never more than the limit.
  expect(of('writes')?.exclusiveBytes ?? 0).toBeGreaterThanOrEqual(4 * MiB);
  expect(of('writes')?.exclusiveBytes ?? 0).toBeLessThanOrEqual(16 * MiB);
  expect(of('idle')?.quotaBytes).toBe(8 * MiB);
  expect(of('idle')?.exclusiveBytes ?? MiB).toBeLessThan(MiB);
  expect([of('free')?.quotaBytes, of('free')?.exclusiveBytes]).toEqual([undefined, undefined]);
  expect(usage.committedBytes).toBe(24 * MiB);
  const text = await on('usage');
  expect(text).toMatch(/^writes +[\d.]+ MiB +16 MiB /m);
  expect(text).toMatch(/^free +not counted +none /m);
  for (const id of ['writes', 'idle', 'free']) await on('delete', id);
  await on('clean');
});
