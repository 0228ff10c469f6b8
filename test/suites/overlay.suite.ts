/**
 * `mountOverlay`, for every way of mounting that a kernel has: run on the machine's own kernel and on the one
 * of ci/quota-kernel, which is older than `lowerdir+`.
 */
import { describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { MAX_LOWER_DIRS } from '../../lib/base/limits.ts';
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { lsetxattr, mknodAt } from '../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../lib/sys/kernel/libc.ts';
import { unmount } from '../../lib/sys/mounts/mount.ts';
import { isMountRoot, mountAt } from '../../lib/sys/mounts/mountinfo.ts';
import {
  describeOverlayOptions,
  mountOverlay,
  type OverlayRequest,
  type OverlayWay,
} from '../../lib/sys/mounts/overlay.ts';
import { must } from '../support/shell.ts';
import type { TempDir } from '../support/temp.ts';

export interface OverlaySuite {
  /** An empty directory on a filesystem that can hold upper directories. */
  readonly newDir: () => Promise<TempDir>;
  readonly ways: readonly OverlayWay[];
}

/** `count` lowers, topmost first, each with a file of its own and one that all have; short links to each. */
export function stackIn(
  root: string,
  count: number,
): OverlayRequest & { upper: string; work: string; shortLinks: { names: string[]; cwd: string } } {
  for (const name of ['l', 'upper', 'work', 'target']) mkdirSync(join(root, name), { recursive: true });
  const numbers = Array.from({ length: count }, (_, i) => i);
  const lowers = numbers.map((i) =>
    join(root, 'volumes', `sha256:${String(i).padStart(64, '0')}`.replace(':', '-')),
  );
  for (const [i, lower] of lowers.entries()) {
    mkdirSync(lower, { recursive: true });
    writeFileSync(join(lower, `only-${i}`), String(i));
    writeFileSync(join(lower, 'all'), String(i));
    symlinkSync(lower, join(root, 'l', i.toString(36)));
  }
  return {
    lowers,
    upper: join(root, 'upper'),
    work: join(root, 'work'),
    target: join(root, 'target'),
    shortLinks: { cwd: join(root, 'l'), names: numbers.map((i) => i.toString(36)) },
  };
}

const code = (name: string) => expect.objectContaining({ code: name });

export function overlaySuite({ newDir, ways }: OverlaySuite): void {
  describe.each([...ways])('mountOverlay by %s', (way) => {
    test('without an upper directory shows the lowers, and takes no write', async () => {
      await using dir = await newDir();
      const { upper: _upper, work: _work, ...request } = stackIn(dir.path, 3);
      expect(mountOverlay(request, [way])).toBe(way);
      try {
        expect(readFileSync(join(request.target, 'all'), 'utf8')).toBe('0');
        expect(readFileSync(join(request.target, 'only-2'), 'utf8')).toBe('2');
        expect(() => writeFileSync(join(request.target, 'new'), '')).toThrow('EROFS');
      } finally {
        unmount(request.target);
      }
    });

    test('shows all lowers, the topmost first, and writes into the upper', async () => {
      await using dir = await newDir();
      const request = stackIn(dir.path, 3);
      const cwd = process.cwd();
      expect(mountOverlay(request, [way])).toBe(way);
      expect(process.cwd()).toBe(cwd);
      expect(readdirSync(request.target).sort()).toEqual(['all', 'only-0', 'only-1', 'only-2']);
      expect(readFileSync(join(request.target, 'all'), 'utf8')).toBe('0');
      writeFileSync(join(request.target, 'new'), '');
      expect(readdirSync(request.upper)).toEqual(['new']);
      expect(mountAt(request.target)).toMatchObject({ fsType: 'overlay', source: 'overlay' });
    });

    test('has the options that keep forged attributes from being followed', async () => {
      await using dir = await newDir();
      const request = { ...stackIn(dir.path, 2), flags: { nosuid: true, nodev: true } };
      mkdirSync(join(request.lowers[1] ?? '', 'secret'));
      writeFileSync(join(request.lowers[1] ?? '', 'secret/file'), '');
      mkdirSync(join(request.lowers[0] ?? '', 'forged'));
      lsetxattr(join(request.lowers[0] ?? '', 'forged'), 'trusted.overlay.redirect', Buffer.from('/secret'));
      mountOverlay(request, [way]);
      const found = mountAt(request.target);
      expect(found?.superOptions).toContain('redirect_dir=nofollow');
      expect(found?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev']));
      expect(() => readdirSync(join(request.target, 'forged'))).toThrow(code('EPERM'));
      expect(readdirSync(join(request.target, 'secret'))).toEqual(['file']);
    });

    test('sees whiteouts and opaque directories', async () => {
      await using dir = await newDir();
      const request = stackIn(dir.path, 2);
      const [top = '', bottom = ''] = request.lowers;
      for (const lower of [top, bottom]) mkdirSync(join(lower, 'opaque'));
      writeFileSync(join(bottom, 'opaque/hidden'), '');
      mknodAt(AT_FDCWD, join(top, 'only-1'), 0o20000, 0);
      lsetxattr(join(top, 'opaque'), 'trusted.overlay.opaque', Buffer.from('y'));
      mountOverlay(request, [way]);
      expect(existsSync(join(request.target, 'only-1'))).toBe(false);
      expect(readdirSync(join(request.target, 'opaque'))).toEqual([]);
    });

    test('the same lower twice is ELOOP, a missing one ENOENT, a bad option EINVAL; nothing is mounted', async () => {
      await using dir = await newDir();
      const request = stackIn(dir.path, 2);
      const [first = ''] = request.lowers;
      const twice = {
        ...request,
        lowers: [first, first],
        shortLinks: { ...request.shortLinks, names: ['0', '0'] },
      };
      expect(() => mountOverlay(twice, [way])).toThrow(code('ELOOP'));
      const missing = {
        ...request,
        lowers: [first, dir.at('missing')],
        shortLinks: { ...request.shortLinks, names: ['0', 'zz'] },
      };
      expect(() => mountOverlay(missing, [way])).toThrow(code('ENOENT'));
      expect(() => mountOverlay({ ...request, target: dir.at('missing') }, [way])).toThrow(code('ENOENT'));
      const odd = { ...request, options: { no_such_option: 'on' } };
      expect(() => mountOverlay(odd, [way])).toThrow(code('EINVAL'));
      expect(() => mountOverlay(odd, [way])).toThrow(SysError);
      expect(isMountRoot(request.target)).toBe(false);
      mountOverlay(request, [way]);
    });
  });

  describe('mountOverlay', () => {
    test.each([1, 127, 128, MAX_LOWER_DIRS])('mounts %i lowers, without being told how', async (count) => {
      await using dir = await newDir();
      const request = stackIn(dir.path, count);
      expect(ways).toContain(mountOverlay(request));
      expect(readdirSync(request.target).length).toBe(count + 1);
      expect(readFileSync(join(request.target, `only-${count - 1}`), 'utf8')).toBe(String(count - 1));
    });

    test('500 lowers without short links take another way than one page of options', async () => {
      await using dir = await newDir();
      const { shortLinks: _, ...request } = stackIn(dir.path, MAX_LOWER_DIRS);
      expect(['context', 'descriptors']).toContain(mountOverlay(request));
      expect(readdirSync(request.target).length).toBe(MAX_LOWER_DIRS + 1);
      unmount(request.target);
      expect(mountOverlay(request, ['short-links', 'paths', 'descriptors'])).toBe('descriptors');
      expect(readdirSync(request.target).length).toBe(MAX_LOWER_DIRS + 1);
      expect(() => mountOverlay(request, ['short-links', 'paths'])).toThrow(code('E2BIG'));
    });

    test('501 lowers are the kernel’s EINVAL, never a mount of 500', async () => {
      await using dir = await newDir();
      const request = stackIn(dir.path, MAX_LOWER_DIRS + 1);
      expect(() => mountOverlay(request)).toThrow(code('EINVAL'));
      expect(isMountRoot(request.target)).toBe(false);
    });

    test.each([
      'co:lon',
      'com,ma',
      'back\\slash',
      'all:of,th\\em',
      'with blank',
      'tr\\',
      '\\:,',
      'ünï😀',
      '-',
      'qu\'o"te',
    ])('a store at %j', async (name) => {
      await using dir = await newDir();
      const root = dir.at(name);
      mkdirSync(root);
      const { shortLinks, ...request } = stackIn(root, 3);
      for (const both of [{ ...request, shortLinks }, request]) {
        mountOverlay(both);
        expect(readdirSync(request.target).sort()).toEqual(['all', 'only-0', 'only-1', 'only-2']);
        writeFileSync(join(request.target, 'written'), '');
        expect(readdirSync(request.upper)).toEqual(['written']);
        unlinkSync(join(request.target, 'written'));
        unmount(request.target);
      }
    });

    test('paths longer than one value of the new calls', async () => {
      await using dir = await newDir();
      const root = dir.at('d'.repeat(200), 'e'.repeat(200));
      mkdirSync(root, { recursive: true });
      const request = stackIn(root, 3);
      for (const way of ['context', 'short-links', 'descriptors'] as const) {
        const wanted = way === 'context' ? [way, 'descriptors' as const] : [way];
        expect(mountOverlay(request, wanted)).toBe(way === 'context' ? 'descriptors' : way);
        expect(readdirSync(request.target).length).toBe(4);
        unmount(request.target);
      }
    });

    test('what it describes for somebody else’s mount(8) mounts the same', async () => {
      await using dir = await newDir();
      const root = dir.at('with,comma:colon\\');
      mkdirSync(root);
      const request = stackIn(root, 3);
      const lowers = request.shortLinks.names.map((name) => join(request.shortLinks.cwd, name));
      const options = describeOverlayOptions({ lowers, upper: request.upper, work: request.work });
      const { mount } = await import('../../lib/sys/mounts/mount.ts');
      mount('overlay', request.target, 'overlay', 0, options);
      expect(readFileSync(join(request.target, 'all'), 'utf8')).toBe('0');
      expect(readdirSync(request.target).length).toBe(4);
      expect(mountAt(request.target)?.superOptions).toContain('redirect_dir=nofollow');
    });

    test('the working directory comes back, even one that was removed or renamed', async () => {
      await using dir = await newDir();
      const request = stackIn(dir.path, 2);
      const before = process.cwd();
      mkdirSync(dir.at('here'));
      process.chdir(dir.at('here'));
      try {
        await must('mv', [dir.at('here'), dir.at('there')]);
        mountOverlay(request, ['short-links']);
        expect(process.cwd()).toBe(dir.at('there'));
        unmount(request.target);
        await must('rmdir', [dir.at('there')]);
        mountOverlay(request, ['short-links']);
        unmount(request.target);
        expect(() => mountOverlay({ ...request, options: { bad: '1' } }, ['short-links'])).toThrow(
          code('EINVAL'),
        );
      } finally {
        process.chdir(before);
      }
    });
  });
}
