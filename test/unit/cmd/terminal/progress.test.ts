import { describe, expect, test } from 'bun:test';
import { PlainProgress, TerminalProgress } from '../../../../cmd/terminal/progress.ts';

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
    expect(take()).toBe(`${ERASE}layers 0/1  [........................] 0 bytes of 1 MiB  1 MiB`);
    layer.advance(1000);
    advanceClock(50);
    layer.advance(1000);
    expect(take()).toBe('');
    advanceClock(60);
    layer.advance(524288 - 2000);
    expect(take()).toBe(`${ERASE}layers 0/1  [############............] 512 KiB of 1 MiB  1 MiB`);
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
    expect(take()).toBe(`${ERASE}layers 0/2  [########################] 55 bytes of 10 bytes  a 10 bytes`);
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

  test('knows the total from the manifest, and shows rate and time left', () => {
    const { progress, advanceClock, take } = terminal();
    progress.expect(4, 40 * 1024 * 1024);
    const layer = progress.layer('abc', 10 * 1024 * 1024);
    take();
    advanceClock(2000);
    layer.advance(8 * 1024 * 1024);
    expect(take()).toBe(
      `${ERASE}layers 0/4  [#####...................] 8 MiB of 40 MiB, 4 MiB/s, 8 s left  10 MiB`,
    );
  });

  test('says that another process is waited for', () => {
    const { progress, take } = terminal();
    progress.waiting(1);
    expect(take()).toBe('waiting for another process, which fetches 1 layer of this image\n');
  });
});

describe('progress on a pipe', () => {
  test('is one plain line every ten seconds', () => {
    let now = 0;
    const lines: string[] = [];
    const progress = new PlainProgress(
      (line) => lines.push(line),
      () => now,
    );
    progress.expect(2, 2048);
    const layer = progress.layer('abc\x1b[2J', 1024);
    for (now = 1000; now <= 25_000; now += 1000) layer.advance(10);
    layer.done();
    progress.note('a note');
    expect(lines).toEqual([
      'layers 0/2: 100 bytes of 2 KiB, 10 bytes/s, 3 min left\n',
      'layers 0/2: 200 bytes of 2 KiB, 10 bytes/s, 3 min left\n',
      'a note\n',
    ]);
  });
});
