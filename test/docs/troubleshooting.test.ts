/** docs/troubleshooting.md: every sentence that an operator can meet is in it, and none that graft no longer says. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sentences } from '../../cmd/sentences/index.ts';
import { explain } from '../../cmd/sentences/report.ts';
import { type ErrorCode, PluginError } from '../../lib/base/errors/error.ts';
import { PROJECT } from '../support/shell.ts';
import { looksLike } from './machine.ts';
import { readPage } from './page.ts';
import { SAMPLES, SELF_EXPLAINING } from './samples.ts';

const PAGE = readPage('docs/troubleshooting.md');

/** Cells of the tables whose first column has this title. */
function rows(title: string): string[][] {
  const found: string[][] = [];
  let inside = false;
  for (const line of PAGE.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
    if (!line.startsWith('|')) inside = false;
    else if (cells[1] === title) inside = true;
    else if (inside && cells[1] !== '---' && !cells[1]?.startsWith('---')) found.push(cells.slice(1, -1));
  }
  return found;
}

/** ``code`` or `code`. */
const quoted = (cell = '') => /^(`+)(.*)\1$/.exec(cell)?.[2] ?? '';
const shown = rows('sentence');
const patterns = shown.map(([cell]) => quoted(cell));
const codes = Object.keys(sentences) as ErrorCode[];
const say = (code: ErrorCode) => explain(new PluginError(code, SAMPLES[code] as never), []).sentence;

/** The row of a sentence is the one with the most fixed words that fit it. */
function rowOf(sentence: string): string[] | undefined {
  const fitting = shown.filter(([cell]) => looksLike(`${quoted(cell)}…`, sentence));
  return fitting.sort((a, b) => fixed(quoted(b[0])) - fixed(quoted(a[0])))[0];
}
const fixed = (pattern: string) => pattern.replaceAll('…', '').length;

test('a page without tables would not pass', () => {
  expect(shown.length).toBeGreaterThan(80);
});

describe('every code', () => {
  test.each(codes.filter((code) => !SELF_EXPLAINING.includes(code)))('%s', (code) => {
    if (SAMPLES[code] === undefined)
      throw new Error(`${code} is new: give it a subject in test/docs/samples.ts and a row in the page`);
    const row = rowOf(say(code));
    expect([say(code), row?.length]).toEqual([say(code), 3]);
    const [, cause = '', cure = ''] = row ?? [];
    expect([code, cause.length > 3, cure.length > 3]).toEqual([code, true, true]);
  });

  test('explains itself or is in the page, and is a code', () => {
    expect(SELF_EXPLAINING.filter((code) => !codes.includes(code) || SAMPLES[code] !== undefined)).toEqual(
      [],
    );
    expect(Object.keys(SAMPLES).filter((code) => !codes.includes(code as ErrorCode))).toEqual([]);
  });
});

describe('every row', () => {
  // The advice behind an error of the kernel depends on the error.
  const byErrno = ['EIO', 'EFBIG'].map((errno) =>
    sentences.STORE_IO({ step: 'write', path: '/some/where', errno }),
  );
  const said = [...codes.flatMap((code) => (SAMPLES[code] === undefined ? [] : [say(code)])), ...byErrno];

  test.each(patterns)('%s', (pattern) => {
    expect(said.filter((sentence) => looksLike(`${pattern}…`, sentence))).not.toEqual([]);
    // So few words would fit anything.
    expect(fixed(pattern)).toBeGreaterThan(4);
  });

  test('is there once', () => {
    expect(patterns.filter((pattern, at) => patterns.indexOf(pattern) !== at)).toEqual([]);
  });
});

test('everything that check can find', () => {
  const source = readFileSync(join(PROJECT, 'lib/store/checks/finding.ts'), 'utf8');
  const kinds = [...source.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, kind = '']) => kind);
  expect(kinds.length).toBeGreaterThan(10);
  expect(
    rows('finding')
      .map(([cell]) => quoted(cell))
      .sort(),
  ).toEqual(kinds.sort());
});
