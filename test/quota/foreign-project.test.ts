/** A store below a directory that an operator has limited with a project of their own, which everything inherits. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync } from 'node:fs';
import { close, openDir } from '../../lib/sys/kernel/files.ts';
import { getProjectUsage, setProjectId, setProjectLimit } from '../../lib/sys/mounts/quota.ts';
import { graft, graftMust } from '../support/graft.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const PROJECT = 4242;
const LIMIT = 64 * 1024 * 1024;

/** As an operator limits a directory; the store is to lie in it. */
function limitedByOperator(dir: TempDir): string {
  mkdirSync(dir.at('data'));
  const data = openDir(dir.at('data'));
  setProjectId(data, PROJECT);
  close(data);
  setProjectLimit(dir, PROJECT, LIMIT);
  return dir.at('data/store');
}

test('a limit cannot be set there, and the sentence says why', async () => {
  await using dir = quotaDir();
  const image = await makeBusyboxImage(dir.at('layout'));
  const store = limitedByOperator(dir);
  await graftMust(['--store', store, 'init-store']);
  const limit = ['--disk-limit-size-bytes', String(LIMIT)];
  const { code, stdout } = await graft(['--store', store, 'create', ...limit, image.url, 'limited']);
  expect(code).toBe(1);
  expect(stdout).toContain('a directory above it has a project quota of its own');
  expect(readdirSync(`${store}/images`)).toEqual([]);
  expect(readdirSync(`${store}/projectids`)).toEqual([]);
  setProjectLimit(dir, PROJECT, 0);
});

test('a container without a limit goes, and the limit of the directory that holds the store stays', async () => {
  await using dir = quotaDir();
  const image = await makeBusyboxImage(dir.at('layout'));
  const store = limitedByOperator(dir);
  const on = (...args: string[]) => graftMust(['--store', store, ...args]);
  await on('init-store');
  await on('create', image.url, 'unlimited');
  expect(JSON.parse(await on('stats', 'unlimited'))).toMatchObject({
    disk_usage: { exclusive_bytes_used: 0, quota_size_bytes: 0 },
  });
  await on('delete', 'unlimited');
  await on('clean');
  expect(getProjectUsage(dir, PROJECT)?.limitBytes).toBe(LIMIT);
  expect(readdirSync(`${store}/projectids`)).toEqual([]);
  await on('delete-store');
  expect(getProjectUsage(dir, PROJECT)?.limitBytes).toBe(LIMIT);
  setProjectLimit(dir, PROJECT, 0);
});
