/** `npm run demo` for someone who has never seen this: it works, explains itself, and leaves nothing. */
import { describe, expect, test } from 'bun:test';
import { readdirSync, symlinkSync } from 'node:fs';
import { cleanEnv, must, PROJECT, run } from '../support/shell.ts';
import { mountPointsBelow, tempDir } from '../support/temp.ts';

const DEMO_MS = 240_000;

describe('ci/demo', () => {
  test(
    'shows the main job, and leaves no file, mount or loop device',
    async () => {
      await using dir = tempDir();
      const ran = await run('ci/demo', [], { env: cleanEnv({ TMPDIR: dir.path }), timeoutMs: DEMO_MS });
      expect(`${ran.stdout}${ran.stderr}`).toContain('That was the main job.');
      expect(ran.code).toBe(0);
      for (const shown of [
        /"root":\{"path":"\S+\/first\/rootfs"\}/,
        /16\.0M/,
        /No space left on device/,
        /Store empty/,
      ]) {
        expect(ran.stdout).toMatch(shown);
      }
      expect(ran.stdout).toContain('"quota_size_bytes":16777216');
      expect(readdirSync(dir.path)).toEqual([]);
      expect(mountPointsBelow(dir.path)).toEqual([]);
      expect(await must('losetup', ['--list', '--output', 'BACK-FILE'])).not.toContain(dir.path);
    },
    DEMO_MS,
  );

  test(
    'cleans up when it is interrupted half-way',
    async () => {
      await using dir = tempDir();
      const child = Bun.spawn(['ci/demo'], {
        cwd: PROJECT,
        env: cleanEnv({ TMPDIR: dir.path }),
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'ignore',
        detached: true,
      });
      // As a terminal does with Ctrl-C: the whole process group, once the store is there.
      let shown = '';
      for await (const chunk of child.stdout) {
        shown += Buffer.from(chunk).toString();
        if (shown.includes('init-store')) break;
      }
      process.kill(-child.pid, 'SIGINT');
      expect(await child.exited).toBe(130);
      expect(shown).toContain('init-store');
      expect(readdirSync(dir.path)).toEqual([]);
      expect(mountPointsBelow(dir.path)).toEqual([]);
    },
    DEMO_MS,
  );

  test('says in one sentence that it needs root', async () => {
    const ran = await run('setpriv', ['--reuid', '65534', '--clear-groups', 'ci/demo']);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^The demo needs root, [^\n]*\n$/);
    expect(ran.stdout).toBe('');
  });

  test('says in one sentence that it needs Node', async () => {
    await using dir = tempDir();
    for (const name of ['bash', 'dirname', 'id']) symlinkSync(await which(name), dir.at(name));
    const ran = await run('ci/demo', [], { env: { PATH: dir.path } });
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^The demo needs Node 18 or newer with npm, [^\n]*\n$/);
  });
});

async function which(name: string): Promise<string> {
  return (await must('sh', ['-c', `command -v ${name}`])).trim();
}
