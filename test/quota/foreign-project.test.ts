/** A store below a directory that an operator has limited with a project of their own, which everything inherits. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync } from 'node:fs';
import { close, openDir } from '../../lib/sys/files.ts';
import { getProjectUsage, setProjectId, setProjectLimit } from '../../lib/sys/quota.ts';
import { graftMust } from '../support/graft.ts';
import { makeBusyboxImage } from '../support/images.ts';
import { quotaDir } from '../support/quota.ts';

const PROJECT = 4242;
const LIMIT = 64 * 1024 * 1024;

test('a container without a limit goes, and the limit of the directory that holds the store stays', async () => {
  await using dir = quotaDir();
  const image = await makeBusyboxImage(dir.at('layout'));
  mkdirSync(dir.at('data'));
  const data = openDir(dir.at('data'));
  setProjectId(data, PROJECT);
  close(data);
  setProjectLimit(dir, PROJECT, LIMIT);
  const on = (...args: string[]) => graftMust(['--store', dir.at('data/store'), ...args]);
  await on('init-store');
  await on('create', image.url, 'unlimited');
  expect(JSON.parse(await on('stats', 'unlimited'))).toMatchObject({
    disk_usage: { exclusive_bytes_used: 0, quota_size_bytes: 0 },
  });
  await on('delete', 'unlimited');
  await on('clean');
  expect(getProjectUsage(dir, PROJECT)?.limitBytes).toBe(LIMIT);
  expect(readdirSync(dir.at('data/store/projectids'))).toEqual([]);
  await on('delete-store');
  expect(getProjectUsage(dir, PROJECT)?.limitBytes).toBe(LIMIT);
  setProjectLimit(dir, PROJECT, 0);
});
