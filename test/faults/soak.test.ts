import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { cleanEnv, PROJECT, run } from '../support/shell.ts';

const SEED = '20250711';

test.each(['directories', 'images'])(
  'ci/soak with 50 containers on %s leaves nothing and nothing fails',
  async (layers) => {
    const env = cleanEnv({
      GRAFT_SOAK_LAYERS: layers,
      TMPDIR: process.env['TMPDIR'] ?? '/tmp',
      GRAFT_SOAK_SECONDS: '150',
      ...(process.env['GRAFT_DIST'] === undefined ? {} : { GRAFT_DIST: process.env['GRAFT_DIST'] }),
    });
    const soak = await run(join(PROJECT, 'ci/soak'), ['50', SEED], { env, timeoutMs: 170_000 });
    expect([soak.code, soak.code === 0 ? '' : soak.stdout + soak.stderr]).toEqual([0, '']);
    expect(soak.stdout).toContain(`50 containers, 32 at a time, seed ${SEED}\n`);
    expect(soak.stdout).toMatch(/^[1-9]\d* processes killed;/m);
    expect(soak.stdout).toEndWith('nothing is left, nothing failed\n');
  },
  180_000,
);

test('ci/soak that runs out of time fails, and says so', async () => {
  const env = cleanEnv({ TMPDIR: process.env['TMPDIR'] ?? '/tmp', GRAFT_SOAK_SECONDS: '0' });
  const soak = await run(join(PROJECT, 'ci/soak'), ['5', SEED], { env });
  expect([soak.code, soak.stdout]).toEqual([1, expect.stringContaining('fault: only 0 of 5 in 0 s')]);
}, 60_000);
