import { describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { SysError } from '../../../../lib/sys/kernel/errno.ts';
import { close } from '../../../../lib/sys/kernel/files.ts';
import { mountByContext } from '../../../../lib/sys/mounts/fs-context.ts';
import { MAX_MOUNT_DATA, MS, mount, unmount, unmountRetrying } from '../../../../lib/sys/mounts/mount.ts';
import { isMountRoot, mountAt } from '../../../../lib/sys/mounts/mountinfo.ts';
import { tempDir } from '../../../support/temp.ts';
import { openDescriptors } from '../descriptors.ts';

const code = (name: string) => expect.objectContaining({ code: name });

describe('mount', () => {
  test('mounts with its flags and options', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs', MS.NOSUID | MS.NODEV | MS.NOATIME, 'size=64k,mode=0700');
    const found = mountAt(dir.at('m'));
    expect(found?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'noatime']));
    expect(found?.superOptions).toEqual(expect.arrayContaining(['size=64k', 'mode=700']));
  });

  test('refuses options that the kernel would cut', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    // The last byte that fits decides about the mode; one more would make it another mode, and no error.
    const fits = 'size=64k,'.padEnd(MAX_MOUNT_DATA - 'mode=0711'.length, ',').concat('mode=0711');
    expect(fits.length).toBe(MAX_MOUNT_DATA);
    expect(() => mount('none', dir.at('m'), 'tmpfs', 0, `,${fits}`)).toThrow(code('E2BIG'));
    expect(() => mount('none', dir.at('m'), 'tmpfs', 0, `${fits.slice(0, -2)}é1`)).toThrow(code('E2BIG'));
    expect(isMountRoot(dir.at('m'))).toBe(false);
    mount('none', dir.at('m'), 'tmpfs', 0, fits);
    expect(mountAt(dir.at('m'))?.superOptions).toContain('mode=711');
  });

  test('a NUL in a path cuts nothing', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    expect(() => mount('none', `${dir.at('m')}\0x`, 'tmpfs')).toThrow(code('EINVAL'));
    expect(() => mount('none', dir.at('m'), 'tmpfs', 0, 'size=64k\0x')).toThrow(code('EINVAL'));
    expect(isMountRoot(dir.at('m'))).toBe(false);
  });

  test('says which call failed on which path', async () => {
    await using dir = tempDir();
    const failed = () => mount('none', dir.at('missing'), 'tmpfs');
    expect(failed).toThrow(SysError);
    expect(failed).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'mount', path: dir.at('missing') }),
    );
  });
});

describe('mountByContext', () => {
  test('mounts, and an error has the kernel’s own words', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    const request = { fsType: 'tmpfs', attributes: 2 | 4, target: dir.at('m') };
    mountByContext({
      ...request,
      parameters: [
        ['source', 'src'],
        ['size', '64k'],
      ],
    });
    expect(mountAt(dir.at('m'))).toMatchObject({ source: 'src', fsType: 'tmpfs' });
    expect(mountAt(dir.at('m'))?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev']));
    const bad = () => mountByContext({ ...request, parameters: [['no-such-option', 'x']] });
    expect(bad).toThrow(code('EINVAL'));
    expect(bad).toThrow(/no-such-option/);
  });

  test('leaves no descriptor open, whether it works or not', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    const request = { fsType: 'tmpfs', attributes: 0, target: dir.at('m') };
    for (let i = 0; i < 20; i += 1) {
      expect(() => mountByContext({ ...request, parameters: [['nope', undefined]] })).toThrow(SysError);
      expect(() => mountByContext({ ...request, fsType: 'no-such-fs', parameters: [] })).toThrow(
        code('ENODEV'),
      );
      expect(() => mountByContext({ ...request, target: dir.at('missing'), parameters: [] })).toThrow(
        code('ENOENT'),
      );
      mountByContext({ ...request, parameters: [] });
      unmount(dir.at('m'));
    }
    // A mount that is attached nowhere shows as its root.
    const ours = (target: string) => target === '/' || target.includes('[fscontext]');
    expect(openDescriptors(ours)).toEqual([]);
  });
});

describe('unmount', () => {
  test('takes the topmost mount only, and says when there is none', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('one', dir.at('m'), 'tmpfs');
    mount('two', dir.at('m'), 'tmpfs');
    unmount(dir.at('m'));
    expect(mountAt(dir.at('m'))?.source).toBe('one');
    unmount(dir.at('m'));
    expect(() => unmount(dir.at('m'))).toThrow(code('EINVAL'));
    expect(() => unmount(dir.at('missing'))).toThrow(code('ENOENT'));
  });

  test('does not go through a link to somebody else’s mount', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('other'));
    mount('none', dir.at('other'), 'tmpfs');
    symlinkSync('other', dir.at('rootfs'));
    expect(() => unmount(dir.at('rootfs'))).toThrow(code('EINVAL'));
    expect(() => unmount(dir.at('rootfs'), { detach: true })).toThrow(code('EINVAL'));
    await unmountRetrying(dir.at('rootfs'), { timeoutMs: 0 });
    expect(isMountRoot(dir.at('other'))).toBe(true);
  });

  test('a busy mount can be detached, and its users keep it', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs');
    writeFileSync(dir.at('m/file'), 'kept');
    const fd = openSync(dir.at('m/file'), 'r');
    expect(() => unmount(dir.at('m'))).toThrow(code('EBUSY'));
    unmount(dir.at('m'), { detach: true });
    expect(isMountRoot(dir.at('m'))).toBe(false);
    expect(existsSync(dir.at('m/file'))).toBe(false);
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(fd, 'utf8')).toBe('kept');
    close(fd);
  });
});

describe('unmountRetrying', () => {
  test('takes everything that is mounted there, and is content with nothing', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    for (let i = 0; i < 3; i += 1) mount('none', dir.at('m'), 'tmpfs');
    await unmountRetrying(dir.at('m'), { timeoutMs: 0 });
    expect(isMountRoot(dir.at('m'))).toBe(false);
    await unmountRetrying(dir.at('m'), { timeoutMs: 0 });
    await unmountRetrying(dir.at('missing/m'), { timeoutMs: 0 });
    writeFileSync(dir.at('file'), '');
    await unmountRetrying(dir.at('file/m'), { timeoutMs: 0 });
  });

  test('waits for the last user to go', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs');
    const fd = openSync(dir.at('m'), 'r');
    let waited = true;
    const waiting = unmountRetrying(dir.at('m'), { timeoutMs: 60_000 }).then(() => {
      waited = false;
    });
    await Bun.sleep(50);
    expect(waited).toBe(true);
    expect(isMountRoot(dir.at('m'))).toBe(true);
    close(fd);
    await waiting;
    expect(isMountRoot(dir.at('m'))).toBe(false);
  });

  test('gives up at its deadline, and the mount is still there', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs');
    const fd = openSync(dir.at('m'), 'r');
    const started = performance.now();
    await expect(unmountRetrying(dir.at('m'), { timeoutMs: 150 })).rejects.toMatchObject({ code: 'EBUSY' });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(isMountRoot(dir.at('m'))).toBe(true);
    close(fd);
  });
});
