/** A store on an XFS that the kernel has shut down, as it does after an error in the filesystem's own records. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { executable, graftMust } from '../support/graft.ts';
import { run, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const GRAFT = executable();
let dir: TempDir;
let disk: string;
beforeAll(async () => {
  dir = tempDir();
  disk = dir.at('disk');
  await sh(
    `cd "$1"; mkdir disk; echo x > file; tar cf image.tar file
     truncate -s 320M image; mkfs.xfs -q image; mount -t xfs -o loop image disk`,
    [dir.path],
  );
  await graftMust(['--store', `${disk}/store`, 'init-store']);
  await graftMust(['--store', `${disk}/store`, 'create', '--without-mount', dir.at('image.tar'), 'one']);
  await sh('xfs_io -x -c shutdown "$1"', [disk]);
});
afterAll(async () => {
  await sh('umount "$1"', [disk]);
  dir.remove();
});

const ADVICE =
  'input/output error; the disk is failing, or the kernel has shut its filesystem down: see the kernel log (dmesg), ' +
  'unmount the filesystem, check it with xfs_repair and mount it again\n';

describe('a filesystem that was shut down', () => {
  const CALLS: string[][] = [
    ['create', '--without-mount', '../image.tar', 'two'],
    ['delete', 'one'],
    ['stats', 'one'],
    ['list'],
    ['usage'],
    ['check'],
    ['check', '--repair'],
    ['clean'],
    ['delete-store'],
  ];
  test.each(CALLS)('%s %s: a sentence that says what to do', async (...args) => {
    const ran = await run(GRAFT, ['--store', `${disk}/store`, ...args]);
    expect([ran.code, ran.stdout]).toEqual([1, `statx ${disk}/store: ${ADVICE}`]);
  });

  test.each(['store', 'new'])('init-store of %s too', async (name) => {
    const ran = await run(GRAFT, ['--store', `${disk}/${name}`, 'init-store']);
    expect([ran.code, ran.stdout]).toEqual([1, `statx ${disk}: ${ADVICE}`]);
  });

  test('doctor names the store', async () => {
    const ran = await run(GRAFT, ['--store', `${disk}/store`, 'doctor']);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^PROBLEM +store +statx .*input\/output error; .*xfs_repair/m);
  });
});

test('mounted again, the store is whole once a sweep has removed the leases of the killed calls', async () => {
  await sh('umount "$1"; mount -t xfs -o loop "$2" "$1"', [disk, dir.at('image')]);
  // A call that met the shutdown could not remove its lease.
  expect((await run(GRAFT, ['--store', `${disk}/store`, 'clean'])).code).toBe(0);
  const ran = await run(GRAFT, ['--store', `${disk}/store`, 'check']);
  expect([ran.code, ran.stdout]).toEqual([0, 'Nothing is wrong.\n']);
});

test('where the disk below the store is full, that is what every verb tells', async () => {
  const small = dir.at('small');
  const store = `${small}/store`;
  await sh('mkdir "$1"; mount -t tmpfs -o size=80m none "$1"', [small]);
  try {
    await graftMust(['--store', store, 'init-store', '--store-size-bytes', String(320 * 1024 * 1024)]);
    await graftMust(['--store', store, 'create', '--without-mount', dir.at('image.tar'), 'one']);
    await sh('dd if=/dev/zero of="$1/fill" bs=1M 2>/dev/null || true; xfs_io -x -c shutdown "$1/store"', [
      small,
    ]);
    const said =
      `the store ${store} cannot be written: the disk that holds its file ${store}.backing-store is full; free space ` +
      `on that disk, then see what the store lost: graft --store ${store} check\n`;
    const calls = [
      ['delete', 'one'],
      ['stats', 'one'],
      ['list'],
      ['usage'],
      ['check'],
      ['clean'],
      ['create', '/x.tar', 'two'],
    ];
    for (const args of calls) {
      const ran = await run(GRAFT, ['--store', store, ...args]);
      expect([args[0], ran.code, ran.stdout]).toEqual([args[0], 1, said]);
    }
  } finally {
    await sh('umount -l "$1/store" || true; umount -l "$1"', [small]);
  }
});
