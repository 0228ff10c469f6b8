import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { must, run, runPrivately, sh } from '../support/shell.ts';
import { mountXfs } from '../support/stores/store.ts';
import { mountPointsBelow, tempDir } from '../support/temp.ts';

describe('run', () => {
  test('returns status, signal and both outputs', async () => {
    const ran = await run('sh', ['-c', 'cat; echo bad >&2; exit 3'], { stdin: 'in' });
    expect(ran).toEqual({ code: 3, signal: undefined, stdout: 'in', stderr: 'bad\n' });
    const killed = await run('sh', ['-c', 'kill -9 $$']);
    expect(killed).toMatchObject({ code: 137, signal: 'SIGKILL' });
  });

  test('passes nothing of the environment but PATH, HOME and LC_ALL', async () => {
    process.env['HTTPS_PROXY'] = 'http://127.0.0.1:1';
    const names = (await must('env', [])).split('\n').map((line) => line.split('=')[0]);
    expect(names.sort()).toEqual(['', 'HOME', 'LC_ALL', 'PATH']);
    delete process.env['HTTPS_PROXY'];
  });

  test('ends the whole process group at the deadline and shows what was said', async () => {
    await using dir = tempDir();
    const started = performance.now();
    const hung = run('sh', ['-c', 'echo so far; sleep 60 & echo $! > pid; wait'], {
      cwd: dir.path,
      timeoutMs: 300,
    });
    await expect(hung).rejects.toThrow(/did not end in 300 ms\nso far/);
    await hung.catch(() => undefined);
    expect(performance.now() - started).toBeLessThan(20_000);
    const pid = (await Bun.file(dir.at('pid')).text()).trim();
    // The kernel may still be taking it down: only a process that runs on is a failure.
    expect(await sh('cat /proc/$1/stat 2>/dev/null || true', [pid])).not.toMatch(/\) [RS] /);
  });

  test('must shows the output of what failed', async () => {
    await expect(must('sh', ['-c', 'echo why; exit 4'])).rejects.toThrow(/exits 4\nwhy/);
    await expect(sh('false; echo unreached')).rejects.toThrow(/exits 1/);
  });
});

describe('tempDir', () => {
  test('goes with its mounts and devices', async () => {
    let path = '';
    {
      await using dir = tempDir();
      path = dir.path;
      const xfs = await mountXfs(dir.path);
      expect(mountPointsBelow(path)).toEqual([xfs]);
      expect((await must('stat', ['-f', '-c', '%T', xfs])).trim()).toBe('xfs');
      expect(await must('losetup', ['-j', `${xfs}.img`])).toContain('xfs.img');
    }
    expect(existsSync(path)).toBe(false);
    expect(mountPointsBelow(path)).toEqual([]);
  });

  test('runPrivately keeps mounts to itself', async () => {
    await using dir = tempDir();
    const ran = await runPrivately('sh', [
      '-ec',
      'mount -t tmpfs tmpfs $1; touch $1/seen; ls $1',
      'sh',
      dir.path,
    ]);
    expect(ran.stdout).toBe('seen\n');
    expect(existsSync(dir.at('seen'))).toBe(false);
  });
});
