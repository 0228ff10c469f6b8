import { expect, test } from 'bun:test';
import { release } from 'node:os';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { overlayLowers } from '../../../../lib/sys/mounts/mounted-overlay.ts';
import { mountOverlay, overlayWays } from '../../../../lib/sys/mounts/overlay.ts';
import { stackIn } from '../../../suites/overlay.suite.ts';
import { tempDir } from '../../../support/temp.ts';

test.each(overlayWays(release()).filter((way) => way !== 'descriptors'))(
  'tells the lower directories of an overlay mounted by %s, topmost first',
  async (way) => {
    await using dir = tempDir();
    mount('none', dir.path, 'tmpfs');
    const stack = stackIn(dir.path, 3);
    mountOverlay(stack, [way]);
    const names = way === 'paths' ? stack.lowers : stack.shortLinks.names;
    expect(overlayLowers(stack.target)).toEqual([...names]);
  },
);

test('knows nothing of what is no overlay', async () => {
  await using dir = tempDir();
  expect(overlayLowers(dir.path)).toBeUndefined();
  mount('none', dir.path, 'tmpfs');
  expect(overlayLowers(dir.path)).toBeUndefined();
  expect(overlayLowers(dir.at('missing'))).toBeUndefined();
});
