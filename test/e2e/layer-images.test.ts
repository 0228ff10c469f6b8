/** Layers as EROFS images: the same root filesystems as layers that are directories give, one mount a layer, and none left. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readMountinfo } from '../../lib/sys/mounts/mountinfo.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { graft } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { must, sh } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let sources: TempDir;
let image: string;
let busybox: string;

beforeAll(async () => {
  sources = tempDir();
  image = await makeFaultImage(sources.at('fault'));
  busybox = (await makeBusyboxImage(sources.at('busybox'))).url;
});
afterAll(() => sources.remove());

const storeOf = (kind: string, ...init: string[]) => testStore({ init: ['--layers', kind, ...init] });
const mounts = (store: TestStore) =>
  readMountinfo().filter(
    ({ mountPoint, fsType }) => mountPoint.startsWith(`${store.path}/`) && fsType === 'erofs',
  );
/** The directories below volumes/ that hold an image. */
const images = (store: TestStore) =>
  readdirSync(`${store.path}/volumes`)
    .filter((name) => existsSync(`${store.path}/volumes/${name}/fs.erofs`))
    .map((name) => `${store.path}/volumes/${name}`);
const fileOf = (store: TestStore) => `${images(store)[0]}/fs.erofs`;

describe('a container', () => {
  test('shows the same tree as on layers that are directories, as one filesystem', async () => {
    await using directories = await storeOf('directories');
    await using store = await storeOf('images');
    for (const one of [directories, store]) await one.must(['create', image, 'web']);
    expect(images(directories)).toEqual([]);
    // The layer that links into a lower one is a directory.
    expect(images(store).length).toBe(2);
    expect(
      compareTrees(`${directories.path}/images/web/rootfs`, `${store.path}/images/web/rootfs`, {
        directoryTimes: false,
        linkCounts: false,
      }),
    ).toEqual([]);
    for (const volume of images(store)) {
      expect(readdirSync(volume).sort()).toEqual(['access', 'fs', 'fs.erofs', 'layer.json', 'names']);
      const mount = readMountinfo().filter(({ mountPoint }) => mountPoint === `${volume}/fs`);
      expect(mount.map(({ fsType, options }) => [fsType, options.slice(0, 3)])).toEqual([
        ['erofs', ['ro', 'nosuid', 'nodev']],
      ]);
    }
    const root = `${store.path}/images/web/rootfs`;
    const devices = await sh('find "$1" -printf "%D\\n" | sort -u | wc -l', [root]);
    expect(devices.trim()).toBe('1');
    for (const one of [directories, store]) expect(await one.must(['check'])).toBe('Nothing is wrong.\n');
  });

  test('of users that are mapped has mapped owners', async () => {
    const map = ['--uid-mapping', '0:100000:65536', '--gid-mapping', '0:100000:65536'];
    await using directories = await storeOf('directories', ...map);
    await using store = await storeOf('images', ...map);
    for (const one of [directories, store]) await one.must(['create', busybox, 'web']);
    const roots = [directories, store].map(({ path }) => `${path}/images/web/rootfs`);
    expect(
      compareTrees(roots[0] ?? '', roots[1] ?? '', { directoryTimes: false, linkCounts: false }),
    ).toEqual([]);
    expect(statSync(`${store.path}/images/web/rootfs/bin/busybox`).uid).toBe(100000);
  });

  test('that the caller mounts has its layers mounted until it is deleted', async () => {
    await using store = await storeOf('images');
    const spec = JSON.parse(await store.must(['create', '--without-mount', busybox, 'web']));
    const [options] = spec.mounts[0].options;
    expect(options).toContain('xino=auto');
    expect(mounts(store).length).toBe(1);
    const root = `${store.path}/images/web/rootfs`;
    await must('mount', ['-i', '-t', 'overlay', '-o', options, 'overlay', root]);
    expect(statSync(`${root}/bin/busybox`).size).toBeGreaterThan(0);
    await must('umount', [root]);
    await store.must(['clean']);
    expect(mounts(store).length).toBe(1);
    await store.must(['delete', 'web']);
    expect(mounts(store)).toEqual([]);
  });

  test('has the content of its layers in memory once: the files of images keep no pages of it', async () => {
    await using store = await storeOf('images');
    const size = 8 * 1024 * 1024;
    writeFileSync(store.dir.at('large'), Buffer.alloc(size, 'large'));
    await must('tar', ['-C', store.dir.path, '-cf', store.dir.at('large.tar'), 'large']);
    await store.must(['create', store.dir.at('large.tar'), 'web']);
    const read = readFileSync(`${store.path}/images/web/rootfs/large`);
    expect(read.equals(Buffer.alloc(size, 'large'))).toBe(true);
    expect(statSync(fileOf(store)).mode & 0o777).toBe(0o600);
    expect(Number(await sh('fincore -nbo RES "$1"', [fileOf(store)]))).toBeLessThan(size / 8);
  });

  test('is not made of a tar that holds an image', async () => {
    await using store = await storeOf('images');
    const path = store.dir.at('saved.tar');
    const from = busybox.slice('oci://'.length);
    await must('skopeo', ['copy', '-q', '--insecure-policy', `oci:${from}`, `docker-archive:${path}:app:1`]);
    const ran = await store.graft(['create', path, 'box']);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('is a saved image (docker-archive)')]);
    for (const name of ['images', 'volumes', 'tmp'])
      expect([name, readdirSync(`${store.path}/${name}`)]).toEqual([name, []]);
    expect(mounts(store)).toEqual([]);
  });
});

describe('a mount', () => {
  test('is made once for all containers, also of creates at the same time, and goes with the last', async () => {
    await using store = await storeOf('images');
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(ids.map((id) => store.must(['create', image, id])));
    expect(mounts(store).length).toBe(2);
    for (const id of ids.slice(1)) await store.must(['delete', id]);
    expect(mounts(store).length).toBe(2);
    await store.must(['delete', 'a']);
    expect(mounts(store)).toEqual([]);
  });

  test('goes with the last container of its store, whatever runs on the same layer in another store', async () => {
    await using one = await storeOf('images');
    await using other = await storeOf('images');
    for (const store of [one, other]) await store.must(['create', image, 'web']);
    await one.must(['delete', 'web']);
    expect([mounts(one).length, mounts(other).length]).toEqual([0, 2]);
    // A container that is not mounted, and one whose overlay names the layer, keep it.
    await one.must(['create', image, 'mounted']);
    await one.must(['create', '--without-mount', image, 'described']);
    await one.must(['delete', 'mounted']);
    expect(mounts(one).length).toBe(2);
    await one.must(['create', image, 'again']);
    await one.must(['delete', 'described']);
    expect(mounts(one).length).toBe(2);
    await one.must(['delete', 'again']);
    expect(mounts(one)).toEqual([]);
  });

  test('is not left by a pull or by a create that fails', async () => {
    await using store = await storeOf('images');
    await store.must(['pull', image]);
    expect([images(store).length, mounts(store)]).toEqual([2, []]);
    const ran = await store.graft(['create', '--disk-limit-size-bytes', '1', busybox, 'small']);
    expect(ran.code).toBe(1);
    expect(mounts(store)).toEqual([]);
  });

  test('that was lost, as at a reboot, is made again by the next create and by a restore', async () => {
    await using store = await storeOf('images');
    await store.must(['create', image, 'old']);
    const before = await sh('cd "$1" && find . -type f -exec md5sum {} + | sort', [
      `${store.path}/images/old/rootfs`,
    ]);
    await must('umount', [`${store.path}/images/old/rootfs`]);
    for (const { mountPoint } of mounts(store)) await must('umount', [mountPoint]);
    await store.must(['create', image, 'new']);
    for (const { mountPoint } of mounts(store)) await must('umount', [mountPoint]);
    await store.must(['init-store', '--restore-mounts']);
    for (const id of ['old', 'new'])
      expect(
        await sh('cd "$1" && find . -type f -exec md5sum {} + | sort', [`${store.path}/images/${id}/rootfs`]),
      ).toBe(before);
    expect(mounts(store).length).toBe(2);
  });

  test('is removed by a clean, which deletes the layers, and by delete-store, with containers running', async () => {
    await using store = await storeOf('images');
    await store.must(['create', image, 'web']);
    await store.must(['delete', 'web']);
    await store.must(['clean']);
    expect(readdirSync(`${store.path}/volumes`)).toEqual([]);
    await store.must(['create', image, 'web']);
    expect(mounts(store).length).toBe(2);
    await store.must(['delete-store']);
    expect([existsSync(`${store.path}/volumes`), mounts(store)]).toEqual([false, []]);
  });
});

describe('an image that was damaged', () => {
  test('in one byte is found by check, and made again after its repair', async () => {
    await using store = await storeOf('images');
    await store.must(['pull', busybox]);
    const { size } = statSync(fileOf(store));
    for (const at of [0, 1200, Math.floor(size / 2), size - 1]) {
      const file = openSync(fileOf(store), 'r+');
      const [byte = 0] = readFileSync(fileOf(store)).subarray(at, at + 1);
      writeSync(file, Buffer.of(byte ^ 0x10), 0, 1, at);
      closeSync(file);
      const ran = await store.graft(['check']);
      expect([ran.code, ran.stdout]).toEqual([
        1,
        expect.stringContaining('fs.erofs has other bytes than were written'),
      ]);
      await store.must(['check', '--repair']);
      expect(images(store)).toEqual([]);
      await store.must(['pull', busybox]);
    }
    expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
  });

  test('in length, or lost, is mounted nowhere: a create fails, and leaves no container', async () => {
    await using store = await storeOf('images');
    await store.must(['pull', busybox]);
    const file = fileOf(store);
    const refused = async (words: string) => {
      const ran = await store.graft(['create', busybox, 'web']);
      expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(`damaged at ${file}: ${words}`)]);
      expect([readdirSync(`${store.path}/images`), mounts(store)]).toEqual([[], []]);
    };
    truncateSync(file, statSync(file).size - 4096);
    await refused("it is not the image of the layer's record");
    expect((await store.graft(['check'])).stdout).toContain('layer-changed');
    unlinkSync(file);
    await refused('it is missing');
    await store.must(['check', '--repair']);
    await store.must(['create', busybox, 'web']);
  });

  test('by another owner, or in its place, is mounted nowhere', async () => {
    await using store = await storeOf('images');
    await store.must(['pull', busybox]);
    const file = fileOf(store);
    await must('chown', ['1000', file]);
    const ran = await store.graft(['create', busybox, 'web']);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('belongs to user 1000, not to root')]);
    await must('chown', ['0', file]);
    await must('mkfs.erofs', ['--quiet', `${file}.other`, '/etc/apt']);
    writeFileSync(file, readFileSync(`${file}.other`));
    expect((await store.graft(['create', busybox, 'web'])).stdout).toContain('it is not the image');
    expect(mounts(store)).toEqual([]);
  });
});

describe('a store', () => {
  test('holds both kinds after a change, and converts none', async () => {
    await using store = await storeOf('directories');
    await store.must(['pull', busybox]);
    await store.must(['init-store', '--layers', 'images']);
    await store.must(['create', image, 'new']);
    await store.must(['create', busybox, 'old']);
    expect(images(store).length).toBe(2);
    // Without the option the store stays as it is.
    await store.must(['init-store']);
    expect(JSON.parse(readFileSync(`${store.path}/meta/graft.json`, 'utf8')).layers).toEqual({
      wish: 'images',
      kind: 'images',
      way: 'file',
    });
    await store.must(['init-store', '--layers', 'directories']);
    await store.must(['create', image, 'again']);
    expect(images(store).length).toBe(2);
    expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
    expect((await store.graft(['doctor'])).stdout).toContain('directories, as set');
  });

  test('writes images for auto where the kernel mounts them from their files, and doctor says so', async () => {
    await using store = await storeOf('auto');
    await store.must(['create', busybox, 'web']);
    expect(images(store).length).toBe(1);
    expect((await store.graft(['doctor'])).stdout).toContain(
      'images, chosen by auto; mounted from their files',
    );
    const ran = await store.graft(['init-store', '--layers', 'squashfs']);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('--layers auto|directories|images')]);
  });

  test('where the kernel needs loop devices has directories for auto, and images if they are asked for', async () => {
    await using dir = tempDir();
    // The kernel mounts no image from a file on tmpfs.
    await must('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', dir.path]);
    const path = dir.at('store');
    const verb = (...args: string[]) => graft(['--store', path, ...args]);
    const auto = await verb('init-store', '--layers', 'auto');
    expect([auto.code, auto.stdout.split('\n').slice(1).join('\n')]).toEqual([
      0,
      'Layers are written as directories: the kernel does not mount an EROFS image from its file here (Linux 6.12 and newer can).\n',
    ]);
    expect((await verb('doctor')).stdout).toContain('directories, though auto is set: the kernel does not');
    expect((await verb('init-store', '--layers', 'images')).stdout).not.toContain('Layers');
    expect((await verb('create', image, 'web')).code).toBe(0);
    const found = readMountinfo().filter((one) => one.mountPoint.startsWith(path) && one.fsType === 'erofs');
    expect(found.map(({ source }) => source)).toEqual([
      expect.stringMatching(/^\/dev\/loop/),
      expect.stringMatching(/^\/dev\/loop/),
    ]);
    const [device = ''] = found.map(({ source }) => source);
    expect((await sh('losetup -nO RO,AUTOCLEAR "$1"', [device])).trim().split(/\s+/)).toEqual(['1', '1']);
    expect(readFileSync(`${path}/images/web/rootfs/etc/name`, 'utf8')).toBe('bottom');
    expect((await verb('delete', 'web')).code).toBe(0);
    expect(await sh('losetup -n -O BACK-FILE', [])).not.toContain(path);
    expect((await verb('delete-store')).code).toBe(0);
    await must('umount', [dir.path]);
  });
});
