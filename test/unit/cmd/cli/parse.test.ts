import { describe, expect, test } from 'bun:test';
import { VERBS } from '../../../../cmd/cli/definitions.ts';
import { parseCommandLine, type ReadOptions, readOptions } from '../../../../cmd/cli/parse.ts';
import { readWithYargs } from '../../../../cmd/cli/yargs.ts';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { ROWS } from './rows.ts';

function answer(argv: readonly string[], read: ReadOptions): unknown {
  try {
    const { verb, globals, options, positionals } = parseCommandLine(argv, VERBS, read);
    return { verb, globals: { ...globals }, options: { ...options }, positionals: [...positionals] };
  } catch (error) {
    if (!isPluginError(error)) throw error;
    return error.code;
  }
}

describe.each([
  ['the small parser', readOptions],
  ['yargs', readWithYargs],
] as const)('%s', (_name, read) => {
  test.each(ROWS)('%s', (_line, argv, expected) => {
    const whole =
      typeof expected === 'string' ? expected : { globals: {}, options: {}, positionals: [], ...expected };
    expect(answer(argv, read)).toEqual(whole);
  });
});

describe('both parsers', () => {
  test('agree on what is wrong, not only that something is', () => {
    const subject = (argv: readonly string[], read: ReadOptions) => {
      try {
        parseCommandLine(argv, VERBS, read);
        return undefined;
      } catch (error) {
        return isPluginError(error) ? { code: error.code, ...error.subject } : error;
      }
    };
    // yargs-parser renames __proto__ to keep its own object safe, and drops the dashes of a bad option.
    const rows = ROWS.filter(
      ([line, , expected]) => !line.includes('__proto__') && expected !== 'CLI_BAD_FLAG_SYNTAX',
    );
    for (const [, argv] of rows) expect(subject(argv, readWithYargs)).toEqual(subject(argv, readOptions));
  });

  test('agree on words in any order', () => {
    // A fixed generator (mulberry32): the same thousand lines on every run.
    let state = 20260701;
    const random = (below: number) => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below;
    };
    const words = [
      ...['create', 'clean', 'delete', 'help', '--store', '-store=x', '--with-clean', '--with-clean=false'],
      ...[
        '--disk-limit-size-bytes',
        '5',
        '-5',
        '--insecure-registry',
        'a,b',
        '--',
        '-',
        'true',
        '/a.tar',
        '--nope',
      ],
      ...['--username', '--username=', '-h', '-v', '--json', '--threshold-bytes=7', '', 'x=y', '--dry-run'],
    ];
    for (let i = 0; i < 1000; i += 1) {
      const argv = Array.from({ length: 1 + random(6) }, () => words[Math.floor(random(words.length))] ?? '');
      const [small, large] = [answer(argv, readOptions), answer(argv, readWithYargs)];
      // Of several mistakes each may name another one first.
      if (typeof small === 'string' && typeof large === 'string') continue;
      expect({ argv, answer: large }).toEqual({ argv, answer: small });
    }
  });
});
