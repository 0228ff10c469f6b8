import { describe, expect, test } from 'bun:test';
import { readdirSync, writeFileSync } from 'node:fs';
import { HangFiles } from '../../../lib/cvmfs/hang-memory.ts';
import { tempDir } from '../../support/temp.ts';

const PATH = '/cvmfs/a.example';

describe('what is remembered of a repository that did not answer', () => {
  test('holds for the time that the configuration says, and no longer', async () => {
    await using dir = tempDir();
    let now = 1_000_000;
    const hangs = new HangFiles(dir.path, () => now);
    expect(hangs.recall(PATH, 30)).toBeUndefined();
    hangs.remember(PATH, undefined);
    now += 29_000;
    expect(hangs.recall(PATH, 30)).toBe('it did not answer 29 s ago');
    expect(hangs.recall('/cvmfs/other', 30)).toBeUndefined();
    now += 2000;
    expect(hangs.recall(PATH, 30)).toBeUndefined();
  });

  test('holds as long as the process that asked hangs', async () => {
    await using dir = tempDir();
    let now = 1_000_000;
    const hangs = new HangFiles(dir.path, () => now);
    const child = Bun.spawn(['sleep', '600']);
    hangs.remember(PATH, child.pid);
    now += 3_600_000;
    expect(hangs.recall(PATH, 0)).toContain(`process ${child.pid}, which asked, still hangs`);
    child.kill('SIGKILL');
    await child.exited;
    expect(hangs.recall(PATH, 0)).toBeUndefined();
  });

  test('is dropped with the first answer', async () => {
    await using dir = tempDir();
    const hangs = new HangFiles(dir.path, () => 5);
    hangs.forget(PATH);
    hangs.remember(PATH, undefined);
    hangs.forget(PATH);
    expect([hangs.recall(PATH, 30), readdirSync(dir.path)]).toEqual([undefined, []]);
  });

  test('is nothing when the file is damaged', async () => {
    await using dir = tempDir();
    const hangs = new HangFiles(dir.path, () => 5);
    hangs.remember(PATH, undefined);
    const [name = ''] = readdirSync(dir.path);
    for (const text of ['', '{', '{"at":"x"}', '{"at":5}', 'null', '[]']) {
      writeFileSync(dir.at(name), text);
      expect([text, hangs.recall(PATH, 30)]).toEqual([text, undefined]);
    }
  });
});
