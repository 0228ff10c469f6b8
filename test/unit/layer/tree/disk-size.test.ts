/** What a layer takes on the disk, as it is counted while the layer is written, against what the filesystem says. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { lstatSync, statSync } from 'node:fs';
import type { ByteName } from '../../../../lib/base/bytes.ts';
import { Budget } from '../../../../lib/layer/tree/budget.ts';
import { diskUsage } from '../../../../lib/sys/files/disk-usage.ts';
import { close, openDir } from '../../../../lib/sys/kernel/files.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { ROOMY, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const D = (name: string): EntrySpec => ({ name, type: '5' });
const F = (name: string, bytes = 0, pax: Record<string, string | Uint8Array> = {}): EntrySpec => ({
  name: name.slice(-90),
  content: Buffer.alloc(bytes, 'x'),
  ...(name.length > 90 || Object.keys(pax).length > 0 ? { pax: { ...pax, path: name } } : {}),
});
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', link });
const MiB = 1024 * 1024;
function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
const xattr = (bytes: number) => ({ 'SCHILY.xattr.user.x': Buffer.alloc(bytes, 'v') });
const LONG = 'n'.repeat(200);

const LAYERS: Readonly<Record<string, readonly EntrySpec[]>> = {
  'files of all sizes': [D('d'), F('d/none'), F('d/one', 1), F('d/block', 4096), F('d/more', 70_001)],
  'a directory of many blocks': [D('d'), ...many(700, (i) => F(`d/${LONG}${i}`))],
  'directories that come back': many(300, (i) => F(`d${i % 100}/${LONG}${i}`, 1)),
  'deep directories': many(40, (i) => F(`${'deep/'.repeat(i)}${LONG}`, 10)),
  'attributes in and beside the inode': [
    F('small', 10, xattr(20)),
    F('large', 10, xattr(30_000)),
    ...many(50, (i) => F(`f${i}`, 0, xattr(600))),
    { ...D('d'), pax: xattr(9000) },
  ],
  'hard links': [F('a', 50_000), ...many(50, (i) => H(`l${i}`, 'a'))],
  'links with long targets': many(50, (i) => ({ name: `l${i}`, type: '2', link: 't'.repeat(90) })),
  'names that come twice, and what is overwritten': [
    ...many(50, (i) => F(`f${i}`, 20_000)),
    ...many(40, (i) => F(`f${i}`, 1)),
    F('d/x', 30_000),
    { name: 'd', type: '2', link: 'elsewhere' },
    F('h', 40_000),
    H('h2', 'h'),
    F('h', 3),
  ],
  whiteouts: [D('d'), ...many(100, (i) => F(`d/.wh.${i}`)), F('o/.wh..wh..opq')],
};

test.each(Object.entries(LAYERS))('%s', async (_, entries) => {
  const request = requestIn(dir.path);
  const { diskBytes } = await unpack(request, tar(entries));
  const fd = openDir(dir.path);
  try {
    const found = diskUsage(fd, 'target') + lstatSync(request.manifestPath).blocks * 512;
    // Of the manifest the filesystem may have set aside more than it needs; a root of its own may take a block.
    expect(Math.abs(found - diskBytes)).toBeLessThanOrEqual(64 * 1024);
    expect(statSync(request.target).isDirectory()).toBe(true);
  } finally {
    close(fd);
  }
});

/** Bytes that each call may bring until the budget says no. */
function refused(spend: (budget: Budget) => void): number {
  const budget = new Budget(ROOMY, undefined);
  for (let calls = 0; calls < 200_000; calls += 1) {
    try {
      spend(budget);
    } catch (error) {
      expect(error).toMatchObject({ code: 'LAYER_TOO_LARGE' });
      return calls;
    }
  }
  return Number.POSITIVE_INFINITY;
}

test('lines of the manifest may be longer than the archive as long as they are few', () => {
  expect(refused((budget) => budget.manifest(MiB))).toBe(64);
  const honest = refused((budget) => {
    budget.uncompressed(MiB);
    budget.manifest(MiB);
  });
  // The archive ends them, and not the manifest.
  expect(honest).toBeGreaterThan(1000);
});

test('extended attributes have a total', () => {
  const xattrs = [{ name: 'user.x' as ByteName, value: new Uint8Array(60_000) }];
  expect(refused((budget) => budget.attributes(xattrs))).toBe(279);
});

test('names to remember have a total', () => {
  expect(refused((budget) => budget.remember('usr/lib/directory'))).toBe(103_563);
});

test('an archive that repeats its directories before each file is an ordinary one', async () => {
  const entries = many(200, (i) => [D('usr'), D('usr/lib'), F(`usr/lib/${i}`)]).flat();
  const { entries: counted } = await unpack(requestIn(dir.path), tar(entries));
  expect(counted).toBe(600);
});
