/** Limits of containers, on a kernel that enforces them, through the program as an operator runs it. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { close } from '../../lib/sys/kernel/files.ts';
import { listProjects } from '../../lib/sys/mounts/quota.ts';
import { graft, graftMust } from '../support/graft.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const MiB = 1024 * 1024;
let dir: TempDir;
let image: MadeImage;
let store: string;

beforeAll(async () => {
  dir = quotaDir();
  image = await makeBusyboxImage(dir.at('layout'));
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
});
afterAll(async () => {
  await graftMust(['--store', store, 'delete-store']);
  await dir.remove();
});

const on = (...args: string[]) => graft(['--store', store, ...args]);

interface Stats {
  disk_usage: Record<string, number>;
}

async function create(id: string, ...options: string[]): Promise<string> {
  const printed = await graftMust(['--store', store, 'create', ...options, image.url, id]);
  return (JSON.parse(printed) as { root: { path: string } }).root.path;
}

async function stats(id: string): Promise<Stats['disk_usage']> {
  const ran = await on('stats', id);
  expect(ran.code).toBe(0);
  return (JSON.parse(ran.stdout) as Stats).disk_usage;
}

/** Writes until the kernel refuses, and says with which error and at how many bytes. */
function fill(path: string, atMost: number): { code: string | undefined; bytes: number } {
  const fd = openSync(path, 'wx');
  const block = Buffer.alloc(64 * 1024, 'x');
  try {
    for (let written = 0; written < atMost; written += block.length) writeSync(fd, block);
    return { code: undefined, bytes: statSync(path).size };
  } catch (error) {
    return { code: (error as { code?: string }).code, bytes: statSync(path).size };
  } finally {
    close(fd);
  }
}

test('an exclusive limit stops a writer there; another container on the same layer goes on', async () => {
  const [limited, other] = [
    await create('limited', '--disk-limit-size-bytes', String(8 * MiB), '--exclude-image-from-quota'),
    await create('other', '--disk-limit-size-bytes', String(8 * MiB), '--exclude-image-from-quota'),
  ];
  expect((await stats('limited'))['exclusive_bytes_used']).toBe(8192);
  const filled = fill(`${limited}/big`, 32 * MiB);
  expect(filled.code).toBe('ENOSPC');
  expect(Math.abs(filled.bytes - 8 * MiB)).toBeLessThan(MiB);
  expect(fill(`${other}/small`, 4 * MiB)).toEqual({ code: undefined, bytes: 4 * MiB });
  const [full, half] = [await stats('limited'), await stats('other')];
  expect(full['exclusive_bytes_used']).toBeGreaterThan(7 * MiB);
  expect(full['quota_size_bytes']).toBe(8 * MiB);
  expect(Math.abs((half['exclusive_bytes_used'] ?? 0) - 4 * MiB - 8192)).toBeLessThan(100_000);
  const layer = (full['total_bytes_used'] ?? 0) - (full['exclusive_bytes_used'] ?? 0);
  expect(full['committed_space_bytes']).toBe(layer + 8 * MiB);
  await on('delete', 'limited');
  await on('delete', 'other');
});

test('an inclusive limit is what is left beside the layers', async () => {
  await create('whole', '--disk-limit-size-bytes', String(16 * MiB));
  const whole = await stats('whole');
  const layer = (whole['total_bytes_used'] ?? 0) - (whole['exclusive_bytes_used'] ?? 0);
  expect(layer).toBeGreaterThan(500_000);
  // XFS keeps limits in blocks of 4 KiB.
  expect(whole['quota_size_bytes']).toBe(Math.ceil((16 * MiB - layer) / 4096) * 4096);
  await on('delete', 'whole');
});

test('an inclusive limit below the declared sizes fails before anything is fetched, with both numbers', async () => {
  const empty = dir.at('empty-store');
  await graftMust(['--store', empty, 'init-store']);
  const ran = await graft([
    '--store',
    empty,
    'create',
    '--disk-limit-size-bytes',
    '1000',
    image.url,
    'tight',
  ]);
  expect(ran.code).toBe(1);
  expect(ran.stdout).toMatch(/layers exceed disk quota \d+\/1000 bytes/);
  for (const name of ['images', 'volumes', 'tmp', 'projectids', 'meta/leases']) {
    expect([name, readdirSync(`${empty}/${name}`)]).toEqual([name, []]);
  }
  await graftMust(['--store', empty, 'delete-store']);
});

test('an inclusive limit between the packed and the unpacked size fails and leaves no container', async () => {
  const size = statSync(`${dir.path}/layout/blobs/sha256`).size;
  expect(size).toBeGreaterThan(0);
  const packed = Number(
    (await must('sh', ['-c', `du -cb ${dir.at('layout')}/blobs/sha256/* | tail -1 | cut -f1`])).trim(),
  );
  const ran = await on('create', '--disk-limit-size-bytes', String(packed), image.url, 'between');
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringMatching(/\d+/)]);
  expect(ran.stdout).toContain('disk limit is smaller than volume size');
  expect(existsSync(`${store}/images/between`)).toBe(false);
  expect(readdirSync(`${store}/projectids`)).toEqual([]);
});

test('a limit of one byte is raised to 256 KiB', async () => {
  await create('floor', '--disk-limit-size-bytes', '1', '--exclude-image-from-quota');
  expect((await stats('floor'))['quota_size_bytes']).toBe(256 * 1024);
  await on('delete', 'floor');
});

test('without a limit nothing is counted and no project id is taken', async () => {
  await create('free');
  expect((await stats('free'))['exclusive_bytes_used']).toBe(0);
  expect(readdirSync(`${store}/projectids`)).toEqual([]);
  await on('delete', 'free');
});

test('8 creates at once: one copy of the layer, 8 root filesystems, and after delete and clean nothing', async () => {
  await graftMust(['--store', store, 'clean']);
  const ids = Array.from({ length: 8 }, (_, i) => `many-${i}`);
  const options = ['--disk-limit-size-bytes', String(4 * MiB), '--exclude-image-from-quota'];
  const roots = await Promise.all(ids.map((id) => create(id, ...options)));
  for (const root of roots) expect(existsSync(`${root}/bin/busybox`)).toBe(true);
  expect(readdirSync(`${store}/volumes`).length).toBe(1);
  expect(readdirSync(`${store}/projectids`).length).toBe(8);
  const deleted = await Promise.all(ids.map((id) => on('delete', id)));
  for (const [i, ran] of deleted.entries()) expect(ran.stdout).toBe(`Image many-${i} deleted\n`);
  expect((await on('clean')).stdout).toBe('clean completed\n');
  for (const name of [
    'images',
    'volumes',
    'l',
    'tmp',
    'projectids',
    'locks',
    'meta/leases',
    'meta/images',
    'meta/blobs',
  ]) {
    expect([name, readdirSync(`${store}/${name}`)]).toEqual([name, []]);
  }
  const charged = [...listProjects({ path: store })].filter(
    ({ id, usage }) => id !== 0 && (usage.usedBytes > 0 || usage.limitBytes > 0),
  );
  expect(charged).toEqual([]);
  expect((await must('cat', ['/proc/self/mountinfo'])).includes(`${store}/images`)).toBe(false);
}, 180_000);
