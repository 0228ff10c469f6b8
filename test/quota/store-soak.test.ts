import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { cleanEnv, PROJECT, run } from '../support/shell.ts';

test('ci/soak with limits leaves no project id that has a limit or blocks', async () => {
  const env = cleanEnv({
    // A loop file there: its store is a filesystem of its own, as on a cell.
    TMPDIR: process.env['GRAFT_QUOTA_STORE'] ?? '',
    GRAFT_SOAK_SECONDS: '200',
    // The quota kernel has one processor, and a verb that takes two minutes counts as hung.
    GRAFT_SOAK_AT_ONCE: '6',
    ...(process.env['GRAFT_DIST'] === undefined ? {} : { GRAFT_DIST: process.env['GRAFT_DIST'] }),
  });
  const soak = await run(join(PROJECT, 'ci/soak'), ['16', '3'], { env, timeoutMs: 280_000 });
  expect([soak.code, soak.code === 0 ? '' : soak.stdout + soak.stderr]).toEqual([0, '']);
  expect(soak.stdout).not.toContain('no project quotas');
  expect(soak.stdout).toEndWith('nothing is left, nothing failed\n');
}, 300_000);
