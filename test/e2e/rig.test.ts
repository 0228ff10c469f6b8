/** The rig of the tests of limits itself: what `ci/with-quota` promises on either kernel. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { cleanEnv, type Ran, run } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

/** With a time limit of its own, which must end it before ours does. */
async function withQuota(script: string, extra: Record<string, string> = {}): Promise<Ran> {
  const env = cleanEnv({ GRAFT_QUOTA_GIB: '1', GRAFT_QUOTA_SECONDS: '60', ...extra });
  return run('ci/with-quota', ['sh', '-uc', script], { env });
}

describe('ci/with-quota', () => {
  test('says which kernel, hands on output and status, and brings results back', async () => {
    await using dir = tempDir();
    const script = 'echo "to stdout"; echo "to stderr" >&2; echo kept > "$GRAFT_RESULTS/file"; exit 7';
    const ran = await withQuota(script, { GRAFT_RESULTS: dir.path });
    expect(ran.code).toBe(7);
    expect(ran.stdout).toStartWith('This kernel has ');
    expect(`${ran.stdout}${ran.stderr}`).toContain('to stdout\n');
    expect(`${ran.stdout}${ran.stderr}`).toContain('to stderr\n');
    expect(readFileSync(dir.at('file'), 'utf8')).toBe('kept\n');
  });

  test('gives an empty XFS with project quotas, and nothing else to write to that stays', async () => {
    const script = `grep " $GRAFT_QUOTA_STORE xfs .*noatime.*prjquota" /proc/mounts
      ls -A "$GRAFT_QUOTA_STORE"; touch /run/x "$GRAFT_QUOTA_STORE/y" && echo written`;
    const ran = await withQuota(script);
    expect(ran.stdout.split('\n').slice(1)).toEqual([expect.stringContaining('prjquota'), 'written', '']);
    expect((await run('ls', ['/run/x'])).code).not.toBe(0);
  });

  test('ends what takes too long', async () => {
    const started = performance.now();
    const ran = await withQuota('echo begun; sleep 1000', { GRAFT_QUOTA_SECONDS: '8' });
    expect(ran.code).not.toBe(0);
    expect(performance.now() - started).toBeLessThan(40_000);
  });
});
