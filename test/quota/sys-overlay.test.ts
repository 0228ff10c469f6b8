/** The overlay on XFS, and on the kernel of ci/quota-kernel where the machine's own has no project quotas. */
import { describe, expect, test } from 'bun:test';
import { release } from 'node:os';
import { unmount } from '../../lib/sys/mounts/mount.ts';
import { mountOverlay, overlayWays } from '../../lib/sys/mounts/overlay.ts';
import { overlaySuite, stackIn } from '../suites/overlay.suite.ts';
import { quotaDir } from '../support/stores/quota.ts';

const newDir = async () => quotaDir();

overlaySuite({ newDir, ways: overlayWays(release()) });

describe('mountOverlay, asked for what this kernel may not have', () => {
  test('goes on to the next way, with one mount in the end', async () => {
    await using dir = quotaDir();
    const request = stackIn(dir.path, 3);
    const known = overlayWays(release()).includes('context');
    expect(mountOverlay(request, ['context', 'descriptors'])).toBe(known ? 'context' : 'descriptors');
    unmount(request.target);
    if (known) mountOverlay(request, ['context']);
    else expect(() => mountOverlay(request, ['context'])).toThrow(expect.objectContaining({ code: 'E2BIG' }));
  });
});
