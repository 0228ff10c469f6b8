import { describe, expect, test } from 'bun:test';
import { copyFileSync, readFileSync } from 'node:fs';
import {
  formatOwner,
  isAlive,
  livenessOf,
  type Owner,
  owner,
  parseOwner,
} from '../../../../lib/sys/kernel/process.ts';
import { tempDir } from '../../../support/temp.ts';
import { actorUnder } from '../exclusive/actors/spawn.ts';

/** A process of this namespace, as it would have recorded itself. */
function ownerOf(pid: number): Owner {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return { ...owner(), pid, startTime: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '' };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 20_000; !condition(); ) {
    if (performance.now() > deadline) throw new Error('it never came to that');
    await Bun.sleep(5);
  }
}

describe('owner', () => {
  test('names this process', () => {
    const me = owner();
    expect(me.pid).toBe(process.pid);
    expect(me).toEqual(ownerOf(process.pid));
    expect(me.bootId).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    expect(me.pidNamespace).toMatch(/^pid:\[\d+\]$/);
    expect(livenessOf(me)).toBe('alive');
  });

  test('survives a name in both directions', () => {
    expect(parseOwner(formatOwner(owner()))).toEqual(owner());
  });

  test.each([
    '',
    '.',
    '1',
    '1.2.3',
    `1.2.3.${'x'.repeat(36)}`,
    `-1.2.3.${'a'.repeat(36)}`,
    `1.2.3.${'a'.repeat(35)}`,
    `1.2.3.${'a'.repeat(36)}\n`,
    `1.2.3.${'a'.repeat(36)}.x`,
    `99999999999.2.3.${'a'.repeat(36)}`,
    '../../../etc/passwd',
  ])('does not take %j for an owner', (name) => {
    expect(parseOwner(name)).toBeUndefined();
  });
});

describe('livenessOf', () => {
  test('a process is alive while it runs and dead when it was killed', async () => {
    const child = Bun.spawn(['sleep', '60']);
    const who = ownerOf(child.pid);
    expect(livenessOf(who)).toBe('alive');
    child.kill('SIGSTOP');
    expect(livenessOf(who)).toBe('alive');
    child.kill('SIGKILL');
    await child.exited;
    expect(livenessOf(who)).toBe('dead');
    expect(isAlive(who)).toBe(false);
  });

  test('a zombie is dead: nothing but its exit status is left', async () => {
    // The child ends once its parent has become a sleep, which never asks for anybody's status.
    const child = '(until grep -q sleep /proc/$$/comm; do :; done) & echo $!';
    const parent = Bun.spawn(['sh', '-c', `${child}; exec sleep 60`], { stdout: 'pipe' });
    try {
      const reader = parent.stdout.getReader();
      const pid = Number(new TextDecoder().decode((await reader.read()).value));
      await until(() => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')));
      expect(livenessOf(ownerOf(pid))).toBe('dead');
    } finally {
      parent.kill('SIGKILL');
      await parent.exited;
    }
  });

  test('a name with brackets and blanks does not shift the fields', async () => {
    await using dir = tempDir();
    const program = dir.at('a) Z 1 (b ');
    copyFileSync('/bin/sleep', program);
    const child = Bun.spawn([program, '60']);
    try {
      await until(() => readFileSync(`/proc/${child.pid}/stat`, 'latin1').includes('Z 1 (b'));
      expect(ownerOf(child.pid).startTime).toMatch(/^\d+$/);
      expect(livenessOf(ownerOf(child.pid))).toBe('alive');
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  });

  test('another process under the same id is not taken for the dead one', () => {
    expect(livenessOf({ ...owner(), startTime: '1' })).toBe('dead');
  });

  test('everything of another boot is dead', () => {
    expect(livenessOf({ ...owner(), bootId: '00000000-0000-0000-0000-000000000000' })).toBe('dead');
  });

  test('in another pid namespace nobody can be judged, so all count as alive', () => {
    const stranger = { ...owner(), pidNamespace: 'pid:[1]', pid: 4_000_000 };
    expect(livenessOf(stranger)).toBe('unknown');
    expect(isAlive(stranger)).toBe(true);
  });

  test('with the /proc of another pid namespace nobody is declared dead', async () => {
    // No --mount-proc: the process has number 1, and /proc/1 is somebody else.
    await using child = actorUnder(['unshare', '--pid', '--fork', '--kill-child', '--'], 'self');
    expect(await child.ended()).toBe(0);
    const said = JSON.parse(child.lines()[0] ?? '') as { pid: number; owner: Owner; liveness: string };
    expect(said.pid).toBe(1);
    expect(said.owner.pid).toBe(1);
    expect(said.owner.pidNamespace).not.toBe(owner().pidNamespace);
    expect(said.liveness).toBe('unknown');
  });
});
