import { statSync } from 'node:fs';
import { getProjectUsage, listProjects } from '../../../lib/sys/mounts/quota.ts';
import { type TempDir, tempDir } from '../temp.ts';

/**
 * A directory on the XFS with project quotas that `ci/with-quota` provides. Its absence is a failure: a test
 * of limits that skips proves nothing.
 */
export function quotaDir(): TempDir {
  const store = process.env['GRAFT_QUOTA_STORE'];
  if (store === undefined || !statSync(store, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error('no filesystem with project quotas: run ci/test quota, or ci/with-quota bun test FILE');
  }
  return tempDir(store);
}

const SETTLE_MS = 20_000;

/**
 * Bytes that a project uses once XFS has given back what was removed. Since Linux 5.14 it does so in the
 * background (inodegc, fs/xfs/xfs_icache.c), and reading the quota of id 0 sets it off.
 */
export async function usageWhenSettled(path: string, projectId: number, expected = 0): Promise<number> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    for (const { id } of listProjects({ path })) if (id > 0) break;
    const used = getProjectUsage({ path }, projectId)?.usedBytes ?? 0;
    if (used === expected || performance.now() > deadline) return used;
    await Bun.sleep(20);
  }
}
