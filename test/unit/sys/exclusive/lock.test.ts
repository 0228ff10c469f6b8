import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { withLock } from '../../../../lib/sys/exclusive/lock.ts';
import { tempDir } from '../../../support/temp.ts';
import { actor } from './actors/spawn.ts';

const at = (timeoutMs: number) => ({ timeoutMs, what: 'the test lock' });

describe('withLock', () => {
  test('returns what the section returns, and leaves nothing behind', async () => {
    await using dir = tempDir();
    const seen = await withLock(dir.at('lock'), at(0), async () => readdirSync(dir.at('lock')).length);
    expect(seen).toBe(1);
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('lets go when the section fails, with its error', async () => {
    await using dir = tempDir();
    const failed = withLock(dir.at('lock'), at(0), async () => {
      throw new RangeError('mine');
    });
    await expect(failed).rejects.toThrow(new RangeError('mine'));
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('gives up at its deadline and says what it waited for', async () => {
    await using dir = tempDir();
    await using other = actor('lock', dir.at('lock'));
    await other.line('held');
    const before = performance.now();
    const refused = withLock(dir.at('lock'), at(300), async () => 'entered');
    await expect(refused).rejects.toMatchObject({
      code: 'STORE_BUSY',
      subject: { what: 'the test lock', seconds: 0.3 },
    });
    expect(performance.now() - before).toBeGreaterThanOrEqual(299);
  });

  test('one that does not wait returns at once', async () => {
    await using dir = tempDir();
    await withLock(dir.at('lock'), at(0), async () => {
      const second = withLock(dir.at('lock'), at(0), async () => 'entered');
      await expect(second).rejects.toMatchObject({ code: 'STORE_BUSY', subject: { seconds: 0 } });
    });
  });

  test('a killed holder costs no waiting for a lock to grow old', async () => {
    await using dir = tempDir();
    await using other = actor('lock', dir.at('lock'));
    await other.line('held');
    other.signal('SIGKILL');
    await other.ended();
    expect(readdirSync(dir.path)).toEqual(['lock']);
    const before = performance.now();
    await withLock(dir.at('lock'), at(0), async () => undefined);
    // proper-lockfile alone would wait ten seconds.
    expect(performance.now() - before).toBeLessThan(2000);
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('a holder that leaves by process.exit takes its lock with it; one that a signal ends needs no turn', async () => {
    await using dir = tempDir();
    await using leaving = actor('lock-exit', dir.at('lock'));
    expect(await leaving.ended()).toBe(3);
    expect(readdirSync(dir.path)).toEqual([]);
    await using terminated = actor('lock', dir.at('lock'));
    await terminated.line('held');
    terminated.signal('SIGTERM');
    expect(await terminated.ended()).toBe(143);
    expect(readdirSync(dir.path)).toEqual(['lock']);
    await withLock(dir.at('lock'), at(0), async () => undefined);
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('a holder that is stopped or busy keeps its lock, however old it looks', async () => {
    await using dir = tempDir();
    await using other = actor('lock', dir.at('lock'));
    await other.line('held');
    other.signal('SIGSTOP');
    const entry = readdirSync(dir.at('lock'))[0] ?? '';
    for (const path of [dir.at('lock', entry), dir.at('lock')]) utimesSync(path, 1, 1);
    await expect(withLock(dir.at('lock'), at(300), async () => 'entered')).rejects.toMatchObject({
      code: 'STORE_BUSY',
    });
    expect(readdirSync(dir.at('lock'))).toEqual([entry]);
  });

  test('the section hears that its lock was lost, and the end of it is no error', async () => {
    await using dir = tempDir();
    const result = await withLock(dir.at('lock'), at(0), async (signal) => {
      rmSync(dir.at('lock'), { recursive: true });
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      expect(signal.reason).toMatchObject({ code: 'ECOMPROMISED' });
      return 'finished';
    });
    expect(result).toBe('finished');
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('a caller that gives up waiting is let go with its own reason', async () => {
    await using dir = tempDir();
    const abort = new AbortController();
    await withLock(dir.at('lock'), at(0), async () => {
      const waiting = withLock(
        dir.at('lock'),
        { ...at(60_000), signal: abort.signal },
        async () => 'entered',
      );
      abort.abort(new RangeError('enough'));
      await expect(waiting).rejects.toThrow(new RangeError('enough'));
    });
  });

  test('waits in one process too, each in turn', async () => {
    await using dir = tempDir();
    let inside = 0;
    let entered = 0;
    const one = () =>
      withLock(dir.at('lock'), at(60_000), async () => {
        inside += 1;
        expect(inside).toBe(1);
        await Bun.sleep(1);
        inside -= 1;
        entered += 1;
      });
    await Promise.all(Array.from({ length: 16 }, one));
    expect(entered).toBe(16);
  });

  test('keeps processes apart while others of them are killed', async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('number'), '0');
    mkdirSync(dir.at('other'));
    await using a = actor('count', dir.path, '40');
    await using b = actor('count', dir.path, '40');
    for (let victims = 0; victims < 3; victims += 1) {
      await using victim = actor('lock', dir.at('lock'));
      await victim.line('held');
    }
    expect(await Promise.all([a.ended(), b.ended()])).toEqual([0, 0]);
    expect(readFileSync(dir.at('number'), 'utf8')).toBe('80');
  });
});
