import { describe, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
import type { LogLevel } from '../../../../cmd/settings/types.ts';
import { MAX_DATA_BYTES } from '../../../../cmd/terminal/fit.ts';
import {
  lagerLogger,
  lineWriter,
  openLogFile,
  terminalLogger,
  timestamp,
} from '../../../../cmd/terminal/logger.ts';
import { isPluginError, PluginError } from '../../../../lib/base/errors/error.ts';
import type { Logger } from '../../../../lib/base/log.ts';
import { Secret } from '../../../../lib/base/secret.ts';
import { type Relogged, relog } from '../../../contract/garden/relog.ts';
import { tempDir } from '../../../support/temp.ts';

interface Lines {
  readonly log: Logger;
  readonly lines: string[];
}

function logger(level: LogLevel = 'debug', secrets: readonly string[] = []): Lines {
  const lines: string[] = [];
  return { lines, log: lagerLogger({ verb: 'create', level, write: (line) => lines.push(line), secrets }) };
}

/** The one line as JSON. */
function only({ lines }: Lines): Record<string, unknown> & { data: Record<string, unknown> } {
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0] ?? '');
}

/** Garden's view, with the bounds that keep a line in one piece. */
function relogged({ lines }: Lines): Relogged[] {
  for (const line of lines) {
    expect(line.endsWith('\n')).toBe(true);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(Buffer.byteLength(line)).toBeLessThan(4096);
  }
  return relog(lines.map((line) => new TextEncoder().encode(line)));
}

describe('a line', () => {
  test('has lager’s keys and no others', () => {
    const made = logger();
    made.log.info('layer-unpacked', { size: 1 });
    const line = only(made);
    expect(Object.keys(line).sort()).toEqual(['data', 'level', 'message', 'source', 'timestamp']);
    expect(line).toMatchObject({ level: 'info', source: 'graft', message: 'graft.create.layer-unpacked' });
    expect(line.data).toEqual({ size: 1, session: '1' });
  });

  test('has a time with nine digits, now', () => {
    expect(timestamp()).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(Math.abs(Date.parse(timestamp()) - Date.now())).toBeLessThan(5000);
  });

  test('has its data sorted', () => {
    const made = logger();
    made.log.info('x', { z: 1, a: 2, session2: 3 });
    expect(Object.keys(only(made).data)).toEqual(['a', 'session', 'session2', 'z']);
  });

  test('escapes what HTML would read, as Go does', () => {
    const made = logger();
    made.log.info('x', { text: '<a>&\u2028' });
    expect(made.lines[0]).toContain('\\u003ca\\u003e\\u0026\\u2028');
    expect(only(made).data['text']).toBe('<a>&\u2028');
  });

  test.each([
    ['an Error', new Error('broken'), 'broken'],
    ['an error of ours', new PluginError('IMAGE_EXISTS', { id: 'x' }), 'IMAGE_EXISTS {"id":"x"}'],
    ['a text', 'broken', 'broken'],
    ['nothing', undefined, 'undefined'],
  ])('carries %s as text', (_name, error, expected) => {
    const made = logger();
    made.log.error('failed', error, { error: 'overwritten', id: 1 });
    expect(only(made).data).toMatchObject({ error: expected, id: 1 });
    expect(relogged(made)[0]).toMatchObject({ lager: true, level: 'error' });
  });

  test('never shows a stack', () => {
    const made = logger();
    made.log.error('failed', new Error('broken'));
    expect(made.lines[0]).not.toContain('logger.test');
  });
});

describe('Garden', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  const hostile: readonly [string, Record<string, unknown>][] = [
    ['no data', {}],
    ['a long text', { text: 'x'.repeat(100_000) }],
    ['a long text that grows by escaping', { text: '<'.repeat(3500) }],
    ['a long text of many bytes', { text: '😀'.repeat(2000) }],
    ['many texts', Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key${i}`, 'x'.repeat(200)]))],
    ['long names', { ['n'.repeat(50_000)]: 1 }],
    ['deep data', { a: { b: { c: { d: Array.from({ length: 5000 }, (_, i) => ({ i })) } } } }],
    ['a long error', { error: 'e'.repeat(50_000) }],
    ['a cycle', circular],
    ['a bigint', { n: 10n ** 30n }],
    ['an Error inside', { cause: new Error('inner') }],
    ['newlines', { text: 'a\nb\r\nc\u0000' }],
    ['half a character', { text: '\ud800' }],
    ['a session of its own', { session: 5 }],
    ['a trace that is no text', { trace: { a: 1 } }],
    ['undefined', { nothing: undefined }],
    ['NaN', { n: Number.NaN }],
    [
      'a toJSON that throws',
      {
        bad: {
          toJSON: () => {
            throw new Error('no');
          },
        },
      },
    ],
  ];

  test.each(hostile)('takes a line with %s', (_name, data) => {
    for (const level of ['info', 'error'] as const) {
      const made = logger();
      if (level === 'info') made.log.info('event', data);
      else made.log.error('event', new Error('x'.repeat(10_000)), data);
      const [entry] = relogged(made);
      expect(entry).toMatchObject({ lager: true, level, message: 'graft.create.event' });
    }
  });

  test('learns that data were cut, and keeps the error', () => {
    const made = logger();
    made.log.error('event', new Error('the reason'), { text: 'x'.repeat(100_000), more: 1 });
    expect(only(made).data).toMatchObject({ cut: true, error: 'the reason', more: 1, session: '1' });
    expect(Buffer.byteLength(JSON.stringify(only(made).data))).toBeLessThanOrEqual(MAX_DATA_BYTES);
  });
});

describe('levels', () => {
  test.each([
    ['debug', 3],
    ['info', 2],
    ['error', 1],
    ['fatal', 0],
  ] as const)('%s lets %d of three lines through', (level, expected) => {
    const made = logger(level);
    made.log.debug('a');
    made.log.info('b');
    made.log.error('c', new Error('x'));
    expect(made.lines).toHaveLength(expected);
  });
});

describe('passwords', () => {
  test('are not shown, wherever they are', () => {
    const made = logger('debug', ['pa"ss<word>']);
    made.log.error('failed', new Error('401 for u:pa"ss<word>'), {
      deep: { list: ['x pa"ss<word> y'] },
      held: new Secret('pa"ss<word>'),
    });
    expect(made.lines[0]).not.toMatch(/ss.{0,6}word/);
    expect(only(made).data).toMatchObject({
      error: '401 for u:***',
      deep: { list: ['x *** y'] },
      held: '***',
    });
  });
});

describe('where lines go', () => {
  test('a log file is appended to, readable by all', async () => {
    await using dir = tempDir();
    const path = dir.at('log');
    lineWriter(openLogFile(path))('one\n');
    lineWriter(openLogFile(path))('two\n');
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  test('a log file that cannot be opened is an error that names it', () => {
    try {
      openLogFile('/nope/log');
      expect.unreachable();
    } catch (error) {
      expect(isPluginError(error, 'CLI_LOG_FILE') && error.subject).toEqual({
        path: '/nope/log',
        reason: 'no such file or directory',
      });
    }
  });

  test('a log that cannot be written stops nothing', () => {
    // 1023 is no descriptor here.
    expect(() => lineWriter(1023)('x\n')).not.toThrow();
  });

  test('a person gets errors, in plain words, and no events', () => {
    const lines: string[] = [];
    const log = terminalLogger((line) => lines.push(line), ['a-password']);
    log.debug('a');
    log.info('b');
    log.error('mirror-failed', new PluginError('STORE_MISSING', { store: '/a-password' }));
    expect(lines).toEqual(['mirror failed: no store found at /***\n']);
  });
});
