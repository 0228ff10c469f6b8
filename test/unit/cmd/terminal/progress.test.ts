import { describe, expect, test } from 'bun:test';
import { TerminalProgress } from '../../../../cmd/terminal/progress.ts';

function terminal(options: { columns?: number; redraws?: boolean } = {}) {
  let written = '';
  let now = 0;
  const progress = new TerminalProgress(
    {
      write: (text) => {
        written += text;
      },
      columns: () => options.columns ?? 100,
      redraws: options.redraws ?? true,
    },
    () => now,
  );
  return {
    progress,
    advanceClock: (ms: number) => {
      now += ms;
    },
    /** What was written since the last look. */
    take: () => {
      const text = written;
      written = '';
      return text;
    },
  };
}

const ERASE = '\r\x1b[K';

describe('progress', () => {
  test('is one line, redrawn ten times a second at most', () => {
    const { progress, advanceClock, take } = terminal();
    const layer = progress.layer('abc', 1024 * 1024);
    expect(take()).toBe(`${ERASE}layers 0/1  [........................] 0 bytes of 1 MiB  abc`);
    layer.advance(1000);
    advanceClock(50);
    layer.advance(1000);
    expect(take()).toBe('');
    advanceClock(60);
    layer.advance(524288 - 2000);
    expect(take()).toBe(`${ERASE}layers 0/1  [############............] 512 KiB of 1 MiB  abc`);
  });

  test('goes away when the last layer is done, also when told twice', () => {
    const { progress, take } = terminal();
    const [a, b] = [progress.layer('a', 10), progress.layer('b', 10)];
    take();
    a.done();
    a.done();
    expect(take()).toBe('');
    b.done();
    expect(take()).toBe(ERASE);
    progress.clear();
    expect(take()).toBe('');
  });

  test('makes room for a note', () => {
    const { progress, take } = terminal();
    progress.layer('a', undefined);
    take();
    progress.note('something');
    expect(take()).toBe(`${ERASE}something\n`);
    progress.note('more');
    expect(take()).toBe('more\n');
  });

  test('never fills a narrow line, which would wrap', () => {
    const { progress, take } = terminal({ columns: 20 });
    progress.layer('a'.repeat(100), 10);
    expect(take().slice(ERASE.length).length).toBe(19);
  });

  test('shows bytes where nothing is declared, and never more than all', () => {
    const { progress, advanceClock, take } = terminal();
    progress.layer('a', undefined).advance(5);
    advanceClock(200);
    const b = progress.layer('b', 10);
    take();
    advanceClock(200);
    b.advance(50);
    expect(take()).toBe(`${ERASE}layers 0/2  [########################] 55 bytes of 10 bytes  a b`);
  });

  test('writes a line for each layer where nothing can be redrawn', () => {
    const { progress, take } = terminal({ redraws: false });
    const layer = progress.layer('abc', 10);
    layer.advance(2048);
    expect(take()).toBe('');
    layer.done();
    expect(take()).toBe('abc: 2 KiB\n');
  });

  test('lets no name move the cursor', () => {
    const { progress, take } = terminal({ redraws: false });
    progress.layer('/srv/\x1b[2Ja.tar', 10).done();
    expect(take()).not.toContain('\x1b');
  });
});
