import { describe, expect, test } from 'bun:test';
import { openSync } from 'node:fs';
import { explain, logFailure } from '../../../../cmd/sentences/report.ts';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import { SysError } from '../../../../lib/sys/kernel/errno.ts';
import { openAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('an error becomes a sentence', () => {
  test.each([
    ['a code', new PluginError('IMAGE_NOT_FOUND', { id: 'x' }), 'Image `x` not found.', 1],
    [
      'an unknown verb',
      new PluginError('CLI_UNKNOWN_VERB', { verb: 'creat', suggestion: 'create' }),
      "No help topic for 'creat'. Did you mean create?",
      3,
    ],
    [
      'a system call of ours',
      thrown(() => openAt(AT_FDCWD, '/nope', O.RDONLY)),
      'openat /nope: no such file or directory',
      1,
    ],
    ['one of node:fs', thrown(() => openSync('/nope', 'r')), 'open /nope: no such file or directory', 1],
    [
      'a full disk',
      new SysError(28, 'write', '/store/x'),
      "write /store/x: no space left on device; free space with 'graft clean', or give the store more",
      1,
    ],
    [
      'several at once',
      new AggregateError([new PluginError('IMAGE_NOT_FOUND', { id: 'x' }), new Error('y')]),
      'Image `x` not found.',
      1,
    ],
  ])('%s', (_name, error, sentence, exitCode) => {
    expect(explain(error, [])).toEqual({ sentence, exitCode });
  });

  test.each([
    ['a defect', new TypeError("undefined is not an object (evaluating 'a.b')")],
    ['an empty one', new Error('')],
    ['a text', 'oops'],
    ['nothing', undefined],
    ['null', null],
    ['an object', { a: 1 }],
  ])('%s too, on one line and without a stack', (_name, error) => {
    const { sentence, exitCode } = explain(error, []);
    expect(sentence).toMatch(
      /^.+ \(an error that graft does not expect; --log-level debug shows where it came from\)$/,
    );
    expect(sentence).not.toContain('report.test');
    expect(exitCode).toBe(1);
  });

  test('of one line, whatever is in it', () => {
    const { sentence } = explain(new Error(`a\nb\u001b[2J${'x'.repeat(5000)}`), []);
    expect(sentence).toMatch(/^a b \[2Jx+…$/);
    expect(sentence.length).toBeLessThan(2100);
  });

  test('without the password', () => {
    const error = new Error('the registry says: hunter2 is wrong, hunter2!');
    expect(explain(error, ['hunter2']).sentence).toStartWith('the registry says: *** is wrong, ***!');
  });
});

describe('the log of a failure', () => {
  const record = (error: unknown) => {
    const lines: [string, string, unknown][] = [];
    logFailure(
      {
        debug: (event, data) => lines.push(['debug', event, data]),
        info: (event, data) => lines.push(['info', event, data]),
        error: (event, failure, data) => lines.push(['error', event, { failure, ...data }]),
      },
      error,
      explain(error, []).sentence,
    );
    return lines;
  };

  test('has the error, and with level debug where it came from', () => {
    const error = new Error('outer', { cause: new Error('inner') });
    const lines = record(error);
    expect(lines.map(([level, event]) => `${level} ${event}`)).toEqual(['error failed', 'debug failed-at']);
    expect(lines[1]?.[2]).toEqual({
      error: 'inner',
      causes: [expect.stringMatching(/^Error: outer/), expect.stringMatching(/^Error: inner/)],
    });
  });

  test('has the sentence that the caller gets, with the code and its facts beside it', () => {
    const lines = record(new PluginError('STORE_MISSING', { store: '/invalid-store' }));
    expect(lines[0]?.[2]).toEqual({
      failure: 'no store found at /invalid-store',
      code: 'STORE_MISSING',
      facts: { store: '/invalid-store' },
    });
  });

  test('is silent at level error about what Garden provokes as a matter of course', () => {
    const lines = record(new PluginError('IMAGE_NOT_FOUND', { id: 'x' }));
    expect(lines.map(([level]) => level)).toEqual(['debug']);
  });

  test('does not follow a cause that leads back', () => {
    const error = new Error('a');
    error.cause = error;
    expect(record(error)).toHaveLength(2);
  });
});
