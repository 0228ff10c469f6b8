/** A disk that is full, and a process that may open few files: nothing is left behind, and space can be freed. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { makeFaultImage } from '../support/faults/image.ts';
import { executable } from '../support/graft.ts';
import { makeImage } from '../support/images/images.ts';
import { noise } from '../support/registries/fake-registry.ts';
import { cleanEnv, run } from '../support/shell.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { testStore } from '../support/stores/store.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../support/temp.ts';

const MiB = 1024 * 1024;
/** The smallest that mkfs.xfs makes. */
const SMALL = 320 * MiB;
let dir: TempDir;
let small: string;
let large: string;
beforeAll(async () => {
  dir = tempDir();
  small = await makeFaultImage(dir.at('small'));
  mkdirSync(dir.at('tree'));
  for (let i = 0; i < 40; i += 1) writeFileSync(dir.at('tree', `noise${i}`), noise(MiB, i));
  large = (await makeImage(dir.at('large'), 'large', [dir.at('tree')])).url;
});
afterAll(() => dir.remove());

/** Writes until there is not a block and not an inode left. */
function fillUp(path: string): void {
  mkdirSync(`${path}/more`, { recursive: true });
  let [size, number] = [8 * MiB, 0];
  while (size > 0) {
    try {
      appendFileSync(`${path}/filler`, Buffer.alloc(size, 1));
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOSPC') throw error;
      size = size > 512 ? size >> 1 : 0;
    }
  }
  for (;;) {
    try {
      writeFileSync(`${path}/more/${number}`, '');
      number += 1;
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOSPC') return;
      throw error;
    }
  }
}

/** What is said, whatever file of the store it was that did not fit. */
const full = (path: string) =>
  `the store ${path} is full: no space left on device; free space with: graft --store ${path} clean; ` +
  `see what takes it with: graft --store ${path} usage\n`;

test('a create on a full disk says so and leaves nothing; deletes and cleans make room again', async () => {
  await using store = await testStore({ bytes: SMALL });
  const disk = `${store.path}/..`;
  await store.must(['create', small, 'kept']);
  const used = readdirSync(`${store.path}/volumes`).sort();
  await store.must(['pull', large]);
  await store.must(['create', small, 'gone']);
  fillUp(`${disk}/fill`);

  const refused = await store.graft(['create', large, 'new']);
  expect([refused.code, refused.stdout]).toEqual([1, full(store.path)]);
  expect(unfinished(store.path)).toEqual([]);
  expect(readdirSync(`${store.path}/images`).sort()).toEqual(['gone', 'kept']);
  expect(JSON.parse(await store.must(['stats', 'kept']))).toHaveProperty('disk_usage');

  const cleaned = await store.graft(['clean']);
  expect([cleaned.code, cleaned.stdout]).toEqual([0, 'clean completed\n']);
  expect(readdirSync(`${store.path}/volumes`).sort()).toEqual(used);
  fillUp(`${disk}/fill`);
  await store.must(['delete', 'gone']);
  expect(readdirSync(`${store.path}/images`)).toEqual(['kept']);
  expect(readFileSync(`${store.path}/images/kept/rootfs/etc/name`, 'utf8')).toBe('bottom');
  rmSync(`${disk}/fill`, { recursive: true });
  await store.must(['create', large, 'new']);
  expect(statSync(`${store.path}/images/new/rootfs/noise39`).size).toBe(MiB);
  for (const id of ['kept', 'new']) await store.must(['delete', id]);
  await store.must(['clean']);
  expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
  expect(contents(store.path)).toEqual([]);
}, 120_000);

test('layers that do not fit are refused before they are fetched, with both numbers', async () => {
  await using store = await testStore({ bytes: SMALL });
  const disk = `${store.path}/..`;
  writeFileSync(`${disk}/filler`, '');
  const { bsize, bavail } = statfsSync(disk);
  appendFileSync(`${disk}/filler`, Buffer.alloc(bavail * bsize - 20 * MiB, 1));
  const refused = await store.graft(['create', large, 'new']);
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(/no space left in the store .*needed, .*free; free some with: .*clean/);
  expect(contents(store.path).filter((path) => !path.startsWith('meta/'))).toEqual([]);
}, 60_000);

test('a disk that fills up while a layer is unpacked leaves no half of it', async () => {
  await using store = await testStore({ bytes: SMALL });
  const disk = `${store.path}/..`;
  // Zeros: small as a blob, large as a tree.
  mkdirSync(dir.at('zeros'));
  for (let i = 0; i < 40; i += 1) writeFileSync(dir.at('zeros', `zero${i}`), new Uint8Array(MiB));
  const image = (await makeImage(dir.at('zero-layout'), 'zeros', [dir.at('zeros')])).url;
  const { bsize, bavail } = statfsSync(disk);
  writeFileSync(`${disk}/filler`, Buffer.alloc(bavail * bsize - 20 * MiB, 1));
  const failed = await store.graft(['create', image, 'new']);
  expect([failed.code, failed.stdout]).toEqual([1, full(store.path)]);
  expect(unfinished(store.path)).toEqual([]);
  expect(readdirSync(`${store.path}/images`)).toEqual([]);
  rmSync(`${disk}/filler`);
  await store.must(['create', image, 'new']);
  expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
}, 60_000);

test('with few descriptors a verb works, or says so and leaves nothing', async () => {
  await using store = await testStore();
  let [worked, refused] = [0, 0];
  // graft asks for a limit of 64, so the caller leaves it fewer by descriptors that it inherits.
  for (let held = 16; held <= 56; held += 4) {
    const hold = 'ulimit -n 64; for ((i = 10; i < 10 + held; i++)); do eval "exec $i</dev/null"; done';
    const ran = await run(
      'bash',
      [
        '-c',
        `held=$1; shift; ${hold}; exec "$@"`,
        'bash',
        `${held}`,
        executable(),
        '--store',
        store.path,
        'create',
        small,
        'few',
      ],
      { env: cleanEnv() },
    );
    if (ran.code === 0) {
      worked += 1;
      await store.must(['delete', 'few']);
    } else if (ran.stdout.includes('too many open files')) {
      refused += 1;
      expect(ran.stdout).toMatch(/^[^\n]*too many open files[^\n]*\n$/);
    }
    expect([held, readdirSync(`${store.path}/images`), mountPointsBelow(`${store.path}/images`)]).toEqual([
      held,
      [],
      [],
    ]);
    await store.must(['clean']);
    expect([held, contents(store.path)]).toEqual([held, []]);
  }
  expect(worked).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
}, 60_000);
