import { describe, expect, test } from 'bun:test';
import { linkSync, mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { close, openAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';
import {
  attachLoop,
  configureInSteps,
  hasDirectIo,
  loopOf,
  setDirectIo,
} from '../../../../lib/sys/mounts/loop.ts';
import { mount, unmount } from '../../../../lib/sys/mounts/mount.ts';
import { must, runPrivately } from '../../../support/shell.ts';
import { mountXfs } from '../../../support/stores/store.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { actor } from '../exclusive/actors/spawn.ts';

function sparse(dir: TempDir, name: string, bytes = 400 * 1024 * 1024): string {
  writeFileSync(dir.at(name), '');
  truncateSync(dir.at(name), bytes);
  return dir.at(name);
}

/** What `losetup` knows about a file: the kernel's own list. */
async function devicesOf(file: string): Promise<string[]> {
  const text = await must('losetup', ['-n', '-O', 'NAME', '-j', file]);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** The kernel lets go of a device when its last descriptor is closed; other readers (udev) may have one. */
async function goes(file: string): Promise<boolean> {
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await Bun.sleep(10)) {
    if ((await devicesOf(file)).length === 0) return true;
  }
  return false;
}

describe('attachLoop', () => {
  test('makes a filesystem in a file mountable, and goes with its last user', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    await must('mkfs.xfs', ['-q', file]);
    mkdirSync(dir.at('m'));
    {
      using loop = attachLoop(file, { directIo: false });
      expect(await devicesOf(file)).toEqual([loop.device]);
      mount(loop.device, dir.at('m'), 'xfs');
    }
    expect((await devicesOf(file)).length).toBe(1);
    writeFileSync(dir.at('m/file'), 'through the loop');
    unmount(dir.at('m'));
    expect(await goes(file)).toBe(true);
  });

  test('goes at once when it was never used', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    attachLoop(file, { directIo: false })[Symbol.dispose]();
    expect(await goes(file)).toBe(true);
  });

  test('direct I/O can be asked for, and switched', async () => {
    await using dir = tempDir();
    // XFS has direct I/O; what $TMPDIR is on may have none.
    const xfs = await mountXfs(dir.path);
    const file = `${xfs}/disk`;
    writeFileSync(file, '');
    truncateSync(file, 16 * 1024 * 1024);
    using loop = attachLoop(file, { directIo: true });
    expect(hasDirectIo(loop.fd)).toBe(true);
    setDirectIo(loop.fd, false);
    expect(hasDirectIo(loop.fd)).toBe(false);
    setDirectIo(loop.fd, true);
    expect(hasDirectIo(loop.fd)).toBe(true);
  });

  test('on a filesystem without direct I/O asking for it is EINVAL, and nothing stays attached', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'ramfs');
    const file = dir.at('m/disk');
    writeFileSync(file, '');
    truncateSync(file, 16 * 1024 * 1024);
    expect(() => attachLoop(file, { directIo: true })).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(await goes(file)).toBe(true);
  });

  test('refuses what is no file, and what is not there', async () => {
    await using dir = tempDir();
    expect(() => attachLoop(dir.path, { directIo: false })).toThrow(
      expect.objectContaining({ code: 'EISDIR' }),
    );
    expect(() => attachLoop(dir.at('missing'), { directIo: false })).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
  });

  test('the two steps of kernels before 5.8 do the same', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    let device = '';
    {
      using first = attachLoop(file, { directIo: false });
      device = first.device;
    }
    expect(await goes(file)).toBe(true);
    const [loop, backing] = [device, file].map((path) => openAt(AT_FDCWD, path, O.RDWR));
    if (loop === undefined || backing === undefined) throw new Error('unreachable');
    configureInSteps(loop, backing, file);
    close(backing);
    expect(await devicesOf(file)).toEqual([device]);
    expect((await must('losetup', ['-n', '-O', 'AUTOCLEAR', device])).trim()).toBe('1');
    close(loop);
    expect(await goes(file)).toBe(true);
  });

  test('processes that attach at the same time get devices of their own', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    const devices: string[] = [];
    {
      await using a = actor('attach-loops', file, '5');
      await using b = actor('attach-loops', file, '5');
      await using c = actor('attach-loops', file, '5');
      for (const one of [a, b, c]) {
        await one.line('done');
        devices.push(...one.lines().slice(0, -1));
      }
      expect(new Set(devices).size).toBe(15);
      expect((await devicesOf(file)).sort()).toEqual([...devices].sort());
    }
    expect(await goes(file)).toBe(true);
  });

  test('makes the node that a container’s /dev lacks', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    await must('mkfs.xfs', ['-q', file]);
    const script = dir.at('script.ts');
    const lib = new URL('../../../../lib/sys/', import.meta.url).pathname;
    writeFileSync(
      script,
      `import { mkdirSync, writeSync } from 'node:fs';
       import { attachLoop, loopOf } from '${lib}mounts/loop.ts';
       import { mount } from '${lib}mounts/mount.ts';
       import { mknodAt } from '${lib}kernel/files.ts';
       mount('none', '/dev', 'tmpfs');
       mknodAt(-100, '/dev/loop-control', 0o20600, (10 << 8) | 237);
       mkdirSync('${dir.at('m')}');
       using loop = attachLoop('${file}', { directIo: false });
       mount(loop.device, '${dir.at('m')}', 'xfs');
       using found = loopOf('${file}');
       writeSync(1, String(found?.device === loop.device));`,
    );
    const ran = await runPrivately(process.execPath, [script]);
    expect(ran).toMatchObject({ code: 0, stdout: 'true', stderr: '' });
    expect(await goes(file)).toBe(true);
  });
});

describe('loopOf', () => {
  test('finds the device of a file whatever the file is called now', async () => {
    await using dir = tempDir();
    const file = sparse(dir, 'disk');
    const other = sparse(dir, 'other');
    expect(loopOf(file)).toBeUndefined();
    using loop = attachLoop(file, { directIo: false });
    const found = () => {
      using one = loopOf(file);
      return one?.device;
    };
    expect(found()).toBe(loop.device);
    expect(loopOf(other)).toBeUndefined();
    linkSync(file, dir.at('second name'));
    using byLink = loopOf(dir.at('second name'));
    expect(byLink?.device).toBe(loop.device);
    renameSync(file, dir.at('moved'));
    renameSync(other, file);
    expect(loopOf(file)).toBeUndefined();
    using byNewName = loopOf(dir.at('moved'));
    expect(byNewName?.device).toBe(loop.device);
  });

  test('a missing file is an error', async () => {
    await using dir = tempDir();
    expect(() => loopOf(dir.at('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
