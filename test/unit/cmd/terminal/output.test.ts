import { describe, expect, test } from 'bun:test';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { goJson, writeFully } from '../../../../cmd/terminal/output.ts';
import { hasCode } from '../../../../lib/sys/kernel/errno.ts';
import { NONBLOCKING, pipe } from '../../../contract/garden/pipe.ts';
import { tempDir } from '../../../support/temp.ts';

describe('JSON', () => {
  test('has Go’s escapes, and says the same', () => {
    const value = { env: ['A=<b>&c', 'B=\u2028'], n: 1 };
    const json = goJson(value);
    expect(json).toBe('{"env":["A=\\u003cb\\u003e\\u0026c","B=\\u2028"],"n":1}');
    expect(JSON.parse(json)).toEqual(value);
  });
});

describe('writing', () => {
  test('writes all of a long text', async () => {
    await using dir = tempDir();
    const fd = openSync(dir.at('out'), 'w');
    const text = 'ünï'.repeat(100_000);
    writeFully(fd, text);
    closeSync(fd);
    expect(readFileSync(dir.at('out'), 'utf8')).toBe(text);
  });

  test('waits for a slow reader of a pipe that does not block', async () => {
    const [readEnd, writeEnd] = pipe(NONBLOCKING);
    const reader = Bun.spawn(['/bin/sh', '-c', 'sleep 0.1; wc -c'], { stdin: readEnd, stdout: 'pipe' });
    closeSync(readEnd);
    // More than a pipe holds (64 KiB).
    writeFully(writeEnd, 'x'.repeat(300_000));
    closeSync(writeEnd);
    expect((await new Response(reader.stdout).text()).trim()).toBe('300000');
  });

  test('says that the reader is gone', () => {
    const [readEnd, writeEnd] = pipe(0);
    closeSync(readEnd);
    try {
      writeFully(writeEnd, 'x');
      expect.unreachable();
    } catch (error) {
      expect(hasCode(error, 'EPIPE')).toBe(true);
    } finally {
      closeSync(writeEnd);
    }
  });
});
