import { describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { close, openDir } from '../../../../lib/sys/kernel/files.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import {
  getProjectId,
  getProjectUsage,
  quotaSupport,
  setProjectLimit,
} from '../../../../lib/sys/mounts/quota.ts';
import { mountXfs } from '../../../support/stores/store.ts';
import { tempDir } from '../../../support/temp.ts';
import { openDescriptors } from '../descriptors.ts';

/** Limits themselves are tested where the kernel has them: test/quota. */
describe('quotaSupport', () => {
  test('says which filesystem it is where it is not XFS', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs');
    expect(quotaSupport(dir.at('m'))).toEqual({
      supported: false,
      reason: 'the filesystem is tmpfs, not XFS',
      lacking: 'filesystem',
    });
  });

  test('says whether the mount option or the kernel is to blame on XFS', async () => {
    await using dir = tempDir();
    const xfs = await mountXfs(dir.path);
    // The kernel's own sign of having been built with XFS quotas.
    const why = existsSync('/proc/fs/xfs/xqm')
      ? { reason: 'it is not mounted with the option prjquota', lacking: 'filesystem' as const }
      : { reason: 'this kernel was built without XFS quotas (CONFIG_XFS_QUOTA)', lacking: 'kernel' as const };
    expect(quotaSupport(xfs)).toEqual({ supported: false, ...why });
  });

  test('a path that is not there is an error, not a missing feature', async () => {
    await using dir = tempDir();
    expect(() => quotaSupport(dir.at('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

describe('without quotas', () => {
  test('a limit is an error, never ignored; no node and no descriptor is left', async () => {
    await using dir = tempDir();
    const xfs = await mountXfs(dir.path);
    for (let i = 0; i < 3; i += 1) {
      expect(() => setProjectLimit({ path: xfs }, 7, 1024 ** 2)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(ENOSYS|ESRCH)$/) }),
      );
      expect(() => getProjectUsage({ path: xfs }, 7)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(ENOSYS|ESRCH)$/) }),
      );
    }
    expect(openDescriptors((target) => target.startsWith(xfs))).toEqual([]);
    expect(readdirSync('/dev').filter((name) => name.startsWith('.graft'))).toEqual([]);
  });

  test('a directory has no project id, and a filesystem without them says so', async () => {
    await using dir = tempDir();
    const xfs = openDir(await mountXfs(dir.path));
    expect(getProjectId(xfs)).toBe(0);
    close(xfs);
    const proc = openDir('/proc');
    expect(() => getProjectId(proc)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(ENOTTY|EOPNOTSUPP)$/) }),
    );
    close(proc);
  });
});

describe('limits that are none', () => {
  test.each([
    [0, 1024],
    [-1, 1024],
    [1.5, 1024],
    [7, -1],
    [7, 1.5],
    [7, Number.NaN],
    [7, 2 ** 60],
    [7, Number.POSITIVE_INFINITY],
  ])('project %p, %p bytes', async (id, bytes) => {
    await using dir = tempDir();
    expect(() => setProjectLimit(dir, id, bytes)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'quotactl' }),
    );
  });
});
