/** The stand-in for Garden, held to what the real one was seen to do: it must break where Garden breaks. */
import { describe, expect, test } from 'bun:test';
import { readCapacity, readCreate, readStats } from './garden/answers.ts';
import { GoError } from './garden/json.ts';
import { GardenDies, type Relogged, relog } from './garden/relog.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const one = (line: string): Relogged => {
  const all = relog([bytes(`${line}\n`)]);
  expect(all).toHaveLength(1);
  return all[0] as Relogged;
};
const lager = (changes: Record<string, unknown>) =>
  JSON.stringify({
    timestamp: '2026-11-21T20:14:33.145063151Z',
    level: 'info',
    source: 'x',
    message: 'x.y',
    data: {},
    ...changes,
  });

describe('stderr', () => {
  test.each([
    ['as GrootFS writes it', lager({})],
    ['with epoch seconds', lager({ timestamp: '1732220000.123' })],
    ['with a whole second', lager({ timestamp: '2026-11-21T20:14:33Z' })],
    ['with a zone', lager({ timestamp: '2026-11-21T20:14:33.5+01:00' })],
    ['with a numeric level', lager({ level: undefined, log_level: 2 })],
    ['without a level', lager({ level: undefined })],
    ['with text before', `WARN ${lager({})}`],
    ['with text behind', `${lager({})} and more`],
    ['with facts', lager({ data: { session: '1', trace: 't', n: 1, list: [1] } })],
    ['with an error that is no text, below level error', lager({ data: { error: { a: 1 } } })],
  ])('a lager line %s', (_name, line) => {
    expect(one(line).lager).toBe(true);
  });

  test.each([
    ['no JSON', 'panic: oh no'],
    ['a brace and no JSON', 'x { y'],
    ['half a line', lager({}).slice(0, 40)],
    ['a list', '[1]'],
    ['level warn', lager({ level: 'warn' })],
    ['level in capitals', lager({ level: 'INFO' })],
    ['a numeric level that is none', lager({ level: undefined, log_level: 4 })],
    ['a numeric timestamp', lager({ timestamp: 1732220000.123 })],
    ['no timestamp', lager({ timestamp: undefined })],
    ['a timestamp that is none', lager({ timestamp: 'yesterday' })],
    ['a timestamp with a blank', lager({ timestamp: '2026-11-21 20:14:33Z' })],
    ['a numeric session', lager({ data: { session: 1 } })],
    ['a trace that is no text', lager({ data: { trace: {} } })],
    ['an error that is no text', lager({ level: 'error', data: { error: {} } })],
    ['data that is no object', lager({ data: 'x' })],
    ['a message that is no text', lager({ message: 1 })],
  ])('not a lager line: %s', (_name, line) => {
    expect(one(line)).toEqual({ lager: false, output: line });
  });

  test.each([
    ['without data', lager({ data: undefined })],
    ['with data null', lager({ data: null })],
    ['with a timestamp and nothing else', '{"timestamp":"1"}'],
  ])('a lager line %s kills Garden', (_name, line) => {
    expect(() => relog([bytes(line)])).toThrow(GardenDies);
  });

  test('empty lines are dropped', () => {
    expect(relog([bytes(`\n\n${lager({})}\n\n`)])).toHaveLength(1);
  });

  test('a line in two reads is two broken lines', () => {
    const line = `${lager({})}\n`;
    const entries = relog([bytes(line.slice(0, 30)), bytes(line.slice(30))]);
    expect(entries.map((found) => found.lager)).toEqual([false, false]);
  });

  test('two lines in one read are two lines', () => {
    expect(relog([bytes(`${lager({})}\n${lager({})}\n`)]).map((found) => found.lager)).toEqual([true, true]);
  });
});

describe('stdout of create', () => {
  test('gives root.path, process.env and mounts', () => {
    const spec = {
      ociVersion: '',
      process: { user: { uid: 0, gid: 0 }, args: ['sh'], env: ['A=b'], cwd: '/' },
      root: { path: '/r', readonly: false },
      mounts: [{ destination: '/', type: 'overlay', source: 'overlay', options: ['lowerdir=/l'] }],
      anything: { else: 1 },
    };
    expect(readCreate(` ${JSON.stringify(spec)}\n`)).toEqual({
      rootPath: '/r',
      env: ['A=b'],
      mounts: [{ destination: '/', type: 'overlay', source: 'overlay', options: ['lowerdir=/l'] }],
    });
  });

  test.each([
    ['nothing', ''],
    ['blanks', ' \n'],
    ['a line before', 'x\n{}'],
    ['a line behind', '{}\nx'],
    ['two values', '{}{}'],
    ['half a value', '{"root":'],
    ['a byte order mark', '\uFEFF{}'],
    ['single quotes', "{'a':1}"],
    ['a comma too many', '{"a":1,}'],
    ['a list', '[]'],
    ['root as text', '{"root":"/r"}'],
    ['root.path as number', '{"root":{"path":1}}'],
    ['env as text', '{"process":{"env":"A=b"}}'],
    ['env of numbers', '{"process":{"env":[1]}}'],
    ['a negative uid', '{"process":{"user":{"uid":-1}}}'],
    ['a uid that does not fit', '{"process":{"user":{"uid":4294967296}}}'],
    ['a uid with a fraction', '{"process":{"user":{"uid":1.0}}}'],
    ['args as text', '{"process":{"args":"sh"}}'],
    ['mounts as object', '{"mounts":{}}'],
    ['options as text', '{"mounts":[{"options":"ro"}]}'],
    ['a control character in a text', '{"hostname":"a\u0001"}'],
  ])('is refused: %s', (_name, stdout) => {
    expect(() => readCreate(stdout)).toThrow(GoError);
  });

  test('null is nothing, as in Go', () => {
    expect(readCreate('{"root":null,"process":{"env":null},"mounts":null}')).toEqual({
      rootPath: '',
      env: [],
      mounts: [],
    });
  });
});

describe('stdout of stats', () => {
  const used = (total: bigint, exclusive: bigint) => ({
    totalBytesUsed: total,
    exclusiveBytesUsed: exclusive,
  });

  test.each([
    [
      'as GrootFS prints it',
      '{"disk_usage":{"total_bytes_used":3,"exclusive_bytes_used":2,"quota_size_bytes":1}}\n',
      used(3n, 2n),
    ],
    ['with text behind', '{"disk_usage":{"total_bytes_used":3}}\nanything', used(3n, 0n)],
    [
      'largest number',
      '{"disk_usage":{"total_bytes_used":18446744073709551615}}',
      used(18446744073709551615n, 0n),
    ],
    ['without the keys', '{}', used(0n, 0n)],
  ])('%s', (_name, stdout, expected) => {
    expect(readStats(stdout)).toEqual(expected);
  });

  test.each([
    ['nothing', ''],
    ['text in front', 'x {"disk_usage":{}}'],
    ['a negative number', '{"disk_usage":{"total_bytes_used":-1}}'],
    ['a fraction', '{"disk_usage":{"total_bytes_used":1.0}}'],
    ['an exponent', '{"disk_usage":{"total_bytes_used":1e3}}'],
    ['a text', '{"disk_usage":{"total_bytes_used":"1"}}'],
    ['a number that does not fit', '{"disk_usage":{"total_bytes_used":18446744073709551616}}'],
    ['a member that is no object', '{"disk_usage":{},"version":"x"}'],
    ['another object with other things', '{"disk_usage":{},"x":{"y":"z"}}'],
    ['a list', '[]'],
  ])('is refused: %s', (_name, stdout) => {
    expect(() => readStats(stdout)).toThrow(GoError);
  });
});

describe('stdout of capacity', () => {
  test.each([
    ['{"capacity":107374182400}\n', 107374182400n],
    ['{"capacity":0}', 0n],
    ['{}', 0n],
    ['{"capacity":1} x', 1n],
  ])('%p', (stdout, expected) => {
    expect(readCapacity(stdout)).toBe(expected);
  });

  test.each([
    '',
    '{"capacity":-1}',
    '{"capacity":1.5}',
    '{"capacity":"1"}',
    '{"capacity":{}}',
    '[]',
    'No help topic',
  ])('is refused: %p', (stdout) => {
    expect(() => readCapacity(stdout)).toThrow(GoError);
  });
});
