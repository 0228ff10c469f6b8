/** After reboots, for containers that will not go, and for layers that are no longer what they were. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Store } from '../../lib/store/store.ts';
import { close, mkdirAt, openAt } from '../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../lib/sys/kernel/libc.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { graft } from '../support/graft.ts';
import { makeImage } from '../support/images/images.ts';
import { cleanEnv, must, sh } from '../support/shell.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { publishLayer } from '../support/stores/scratch-store.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../support/temp.ts';

const MINUTES = 60_000;
const LOOP_BYTES = String(400 * 1024 * 1024);
let dir: TempDir;
let image: string;
let plain: string;
beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
  mkdirSync(dir.at('tree'));
  writeFileSync(dir.at('tree/file'), 'what the layer holds');
  writeFileSync(dir.at('tree/other'), 'and another');
  plain = (await makeImage(dir.at('plain'), 'plain', [dir.at('tree')])).url;
});
afterAll(() => dir.remove());

describe('after a reboot', () => {
  /** As the kernel leaves it: nothing is mounted, and all else is as it was. */
  async function reboot(path: string): Promise<void> {
    for (const point of mountPointsBelow(path).reverse()) await must('umount', [point]);
    // Another boot id is another boot. Owners of before are known by theirs.
    if (existsSync(join(path, 'meta/boot'))) writeFileSync(join(path, 'meta/boot'), 'the boot before');
  }

  test(
    'a loop store is named as not mounted, and init-store brings back it and its containers',
    async () => {
      await using home = tempDir();
      const path = home.at('store');
      const verb = (...args: string[]) => graft(['--store', path, ...args]);
      expect((await verb('init-store', '--store-size-bytes', LOOP_BYTES)).code).toBe(0);
      for (const id of ['a', 'b', 'c']) expect((await verb('create', image, id)).code).toBe(0);
      writeFileSync(join(path, 'images/a/rootfs/written'), 'by the container');
      await reboot(path);

      for (const args of [
        ['stats', 'a'],
        ['create', image, 'd'],
        ['delete', 'a'],
        ['clean'],
        ['check'],
        ['list'],
      ]) {
        const ran = await verb(...args);
        expect([args, ran.code, ran.stdout]).toEqual([args, 1, expect.stringContaining('is not mounted')]);
      }
      expect(readdirSync(path)).toEqual([]);
      expect((await verb('init-store')).code).toBe(0);
      expect(mountPointsBelow(join(path, 'images'))).toEqual([]);
      expect(JSON.parse((await verb('stats', 'a')).stdout)).toHaveProperty('disk_usage');
      expect((await verb('delete', 'b')).code).toBe(0);
      expect((await verb('check')).stdout).toBe('Nothing is wrong.\n');

      expect((await verb('init-store', '--restore-mounts')).stdout).toContain(
        '2 root filesystems mounted again',
      );
      expect(readFileSync(join(path, 'images/a/rootfs/written'), 'utf8')).toBe('by the container');
      expect(readFileSync(join(path, 'images/c/rootfs/etc/name'), 'utf8')).toBe('bottom');
      expect((await verb('init-store', '--restore-mounts')).stdout).not.toContain('mounted again');
      for (const id of ['a', 'c']) expect((await verb('delete', id)).code).toBe(0);
      expect((await verb('delete-store')).code).toBe(0);
      expect(readdirSync(home.path)).toEqual([]);
    },
    2 * MINUTES,
  );

  test('the first create clears away what the crash has left', async () => {
    await using store = await testStore();
    await store.must(['create', image, 'kept']);
    await reboot(join(store.path, 'images'));
    const dead = `7.7.4026531836.${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`;
    for (const name of ['diff', 'workdir', 'rootfs'])
      mkdirSync(`${store.path}/images/half/${name}`, { recursive: true });
    mkdirSync(`${store.path}/tmp/${dead}.1~layer/fs`, { recursive: true });
    writeFileSync(`${store.path}/meta/leases/${dead}.2`, 'image half\n');
    mkdirSync(`${store.path}/locks/some.claim`);
    writeFileSync(`${store.path}/locks/some.claim/${dead}.abc`, '');
    writeFileSync(`${store.path}/meta/boot`, 'the boot before');
    await store.must(['create', image, 'new']);
    expect(readdirSync(`${store.path}/images`).sort()).toEqual(['kept', 'new']);
    expect(unfinished(store.path)).toEqual([]);
    expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
    // Mounts come back when they are asked for, never by themselves.
    expect(mountPointsBelow(store.path)).toEqual([`${store.path}/images/new/rootfs`]);
  });
});

describe('a container that is busy', () => {
  test(
    'is deleted in spite of a process in it, whose files stay until it ends',
    async () => {
      await using store = await testStore();
      await store.must(['create', plain, 'busy']);
      const rootfs = `${store.path}/images/busy/rootfs`;
      const holder = Bun.spawn(['sh', '-c', 'exec 3<file; read line; cat <&3; cat other'], {
        cwd: rootfs,
        env: cleanEnv(),
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      while (!existsSync(`/proc/${holder.pid}/fd/3`)) await Bun.sleep(5);
      const started = performance.now();
      await store.must(['delete', 'busy']);
      expect(performance.now() - started).toBeLessThan(20_000);
      expect(readdirSync(`${store.path}/images`)).toEqual([]);
      expect(mountPointsBelow(store.path)).toEqual([]);
      await store.must(['create', plain, 'busy']);
      expect(readFileSync(`${rootfs}/file`, 'utf8')).toBe('what the layer holds');
      holder.stdin.write('\n');
      holder.stdin.end();
      expect(await new Response(holder.stdout).text()).toBe('what the layer holdsand another');
      await store.must(['delete', 'busy']);
      expect(unfinished(store.path)).toEqual([]);
    },
    MINUTES,
  );
});

describe('a large tree', () => {
  const DEPTH = 3000;

  /** Deeper than any path reaches. */
  function makeDeep(at: string): void {
    let fd = openAt(AT_FDCWD, at, O.RDONLY | O.DIRECTORY);
    for (let level = 0; level < DEPTH; level += 1) {
      mkdirAt(fd, 'level', 0o755);
      const next = openAt(fd, 'level', O.RDONLY | O.DIRECTORY);
      close(fd);
      fd = next;
    }
    close(fd);
  }
  const makeWide = (at: string) => sh('cd "$1"; mkdir wide; cd wide; seq 100000 | xargs touch', [at]);

  test(
    '3000 levels deep or 100,000 files wide is deleted with its container',
    async () => {
      await using store = await testStore();
      await store.must(['create', plain, 'large']);
      makeDeep(`${store.path}/images/large/rootfs`);
      await makeWide(`${store.path}/images/large/rootfs`);
      await store.must(['delete', 'large']);
      expect(unfinished(store.path)).toEqual([]);
    },
    2 * MINUTES,
  );

  test(
    'is cleaned as a layer',
    async () => {
      await using store = await testStore();
      using opened = Store.open(store.path);
      publishLayer(opened, 'deep', makeDeep);
      publishLayer(opened, 'wide', (tree) => {
        for (let i = 0; i < 20_000; i += 1) writeFileSync(`${tree}/${i}`, '');
      });
      await store.must(['clean']);
      expect(contents(store.path)).toEqual([]);
    },
    2 * MINUTES,
  );
});

describe('a damaged layer', () => {
  const HARM: Readonly<Record<string, (tree: string) => void>> = {
    'a byte that changed': (tree) => writeFileSync(`${tree}/file`, 'what the layer holdt'),
    'a file that is longer': (tree) => appendFileSync(`${tree}/file`, 'more'),
    'a file that is gone': (tree) => rmSync(`${tree}/other`),
    'a mode that changed': (tree) => chmodSync(`${tree}/other`, 0o4755),
    'a file that nobody wrote': (tree) => writeFileSync(`${tree}/extra`, ''),
    'a file that became a directory': (tree) => {
      rmSync(`${tree}/other`);
      mkdirSync(`${tree}/other`);
    },
  };
  const layerOf = ({ path }: TestStore) =>
    readdirSync(`${path}/volumes`).filter((name) => /^[0-9a-f]{64}\.p1$/.test(name))[0] ?? '';

  for (const [name, harm] of Object.entries(HARM)) {
    test(
      `${name}: is found, dropped and fetched again, while its container runs on`,
      async () => {
        await using store = await testStore();
        await store.must(['create', plain, 'old']);
        const layer = layerOf(store);
        harm(`${store.path}/volumes/${layer}/fs`);
        const found = await store.graft(['check']);
        expect([found.code, found.stdout]).toEqual([
          1,
          expect.stringContaining(`layer-changed  volumes/${layer}`),
        ]);
        expect(existsSync(`${store.path}/volumes/${layer}`)).toBe(true);
        // The layer is out of the way; the container that runs on it is what is still wrong.
        const mended = await store.graft(['check', '--repair']);
        expect([mended.code, mended.stdout.split('\n').at(-2)]).toEqual([
          1,
          '1 thing is still wrong, and graft cannot put that right by itself; see the lines above',
        ]);
        expect(mended.stdout).toMatch(/^layer-changed .* repaired$/m);
        expect(mended.stdout).toMatch(/^image-layer-missing +images\/old .*set aside/m);
        expect(existsSync(`${store.path}/volumes/${layer}`)).toBe(false);
        // It runs on what it has.
        const rootfs = `${store.path}/images/old/rootfs`;
        expect(readFileSync(`${rootfs}/file`, 'utf8')).toStartWith('what the layer hold');
        writeFileSync(`${rootfs}/written`, 'still');

        await store.must(['create', plain, 'new']);
        expect(readFileSync(`${store.path}/images/new/rootfs/file`, 'utf8')).toBe('what the layer holds');
        expect(readdirSync(`${store.path}/images/new/rootfs`).sort()).toEqual(['file', 'other']);
        expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
        await store.must(['clean']);
        expect(readFileSync(`${rootfs}/written`, 'utf8')).toBe('still');
        for (const id of ['old', 'new']) await store.must(['delete', id]);
        await store.must(['clean']);
        expect(contents(store.path)).toEqual([]);
      },
      MINUTES,
    );
  }
});
