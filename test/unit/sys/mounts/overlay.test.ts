import { describe, expect, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { release } from 'node:os';
import { mount, unmount } from '../../../../lib/sys/mounts/mount.ts';
import { describeOverlayOptions, mountOverlay, overlayWays } from '../../../../lib/sys/mounts/overlay.ts';
import { overlaySuite, stackIn } from '../../../suites/overlay.suite.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { openDescriptors } from '../descriptors.ts';

/** tmpfs, since the machine's own disk may be an overlay itself, which cannot hold an upper directory. */
async function newDir(): Promise<TempDir> {
  const dir = tempDir();
  mount('none', dir.path, 'tmpfs');
  return { ...dir, remove: dir.remove, [Symbol.asyncDispose]: dir[Symbol.asyncDispose] };
}

overlaySuite({ newDir, ways: overlayWays(release()) });

describe('overlayWays', () => {
  test.each(['6.8.0', '6.10.1-arch1', '6.18.44-fc', '7.0', '10.1.2'])(
    'a kernel %s has the new calls',
    (kernel) => {
      expect(overlayWays(kernel)).toEqual(['short-links', 'paths', 'context', 'descriptors']);
    },
  );

  test.each(['5.15.0-1034-gcp', '6.1.176', '6.7.12', '4.15', '6', 'garbage', ''])(
    'a kernel %j has not',
    (kernel) => {
      expect(overlayWays(kernel)).toEqual(['short-links', 'paths', 'descriptors']);
    },
  );
});

describe('describeOverlayOptions', () => {
  test('one string, topmost lower first, with the safe options', () => {
    expect(
      describeOverlayOptions({
        lowers: ['/S/l/AAA', '/S/l/BBB'],
        upper: '/S/images/i/diff',
        work: '/S/images/i/workdir',
      }),
    ).toBe(
      'lowerdir=/S/l/AAA:/S/l/BBB,upperdir=/S/images/i/diff,workdir=/S/images/i/workdir,' +
        'redirect_dir=nofollow,metacopy=off,index=off,nfs_export=off,xino=off',
    );
  });
});

describe('the error of mountOverlay', () => {
  test('has the words of the kernel, where it has the new calls', async () => {
    await using dir = await newDir();
    const request = { ...stackIn(dir.path, 2), options: { no_such_option: 'on' } };
    const words = overlayWays(release()).includes('context') ? /no_such_option/ : /invalid argument/;
    expect(() => mountOverlay(request)).toThrow(words);
  });

  test('is no descriptor left open and no mount left behind', async () => {
    await using dir = await newDir();
    const { shortLinks: _, ...request } = stackIn(dir.path, 40);
    for (const way of ['paths', 'context', 'descriptors'] as const) {
      for (let i = 0; i < 5; i += 1) {
        expect(() => mountOverlay({ ...request, options: { bad: '1' } }, [way])).toThrow();
        expect(() =>
          mountOverlay({ ...request, lowers: [...request.lowers, dir.at('gone')] }, [way]),
        ).toThrow();
      }
    }
    mkdirSync(dir.at('other'));
    mountOverlay(request);
    unmount(request.target);
    const ours = (target: string) =>
      [dir.path, process.cwd()].some((at) => target === at || target.startsWith(`${at}/`)) ||
      target.includes('[fscontext]');
    expect(openDescriptors(ours)).toEqual([]);
  });
});
