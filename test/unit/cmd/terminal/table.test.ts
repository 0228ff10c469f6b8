import { describe, expect, test } from 'bun:test';
import { VERBS } from '../../../../cmd/cli/definitions.ts';
import { helpText } from '../../../../cmd/cli/yargs.ts';
import { ageOf, counted, shortBytes } from '../../../../cmd/sentences/words.ts';
import { fitted, wrapped } from '../../../../cmd/terminal/table.ts';

describe('tables', () => {
  const rows = [
    ['ID', 'IMAGE', 'SIZE'],
    ['a', `docker://registry.example.com/team/${'x'.repeat(50)}:1`, '1 MiB'],
    ['b', 'short', '2 MiB'],
  ];

  test('are whole where there is room, or no terminal', () => {
    expect(fitted(rows, { width: undefined, shrink: [1] })[1]).toContain('x'.repeat(50));
    expect(fitted(rows, { width: 200, shrink: [1] })[1]).toContain('x'.repeat(50));
  });

  test('are shortened in the middle of the cells that may be, and only as far as needed', () => {
    const lines = fitted(rows, { width: 60, shrink: [1] });
    expect(lines.map((line) => Bun.stringWidth(line))).toEqual([expect.any(Number), 60, expect.any(Number)]);
    expect(lines[1]).toMatch(/^a {3}docker:\/\/.*….*:1 {2}1 MiB$/);
  });

  test('wrap sentences between words', () => {
    expect(wrapped('aa bb cc dd', 5)).toEqual(['aa bb', 'cc dd']);
    expect(wrapped('a verylongword b', 5)).toEqual(['a', 'verylongword', 'b']);
    expect(wrapped('', 5)).toEqual(['']);
  });
});

test.each(Object.keys(VERBS))('help of %s fits 80 columns and breaks no word', async (verb) => {
  const text = await helpText(verb as keyof typeof VERBS, 80);
  expect(text.split('\n').filter((line) => Bun.stringWidth(line) > 80)).toEqual([]);
  const { details, options } = VERBS[verb as keyof typeof VERBS];
  const shown = text.replaceAll(/\s+/g, ' ');
  expect(shown).toContain(details.replaceAll(/\s+/g, ' ').trim());
  for (const [name, option] of Object.entries(options))
    if (!('hidden' in option)) expect(shown).toContain(`--${name}`);
});

test.each([
  [1, '1 byte'],
  [1023, '1023 bytes'],
  [1536, '1.5 KiB'],
  [1024 ** 3, '1 GiB'],
])('%i bytes are %s', (bytes, words) => expect(shortBytes(bytes)).toBe(words));

test('counts have a singular', () => {
  expect([counted(1, 'layer'), counted(0, 'layer'), counted(2, 'entry', 'entries')]).toEqual([
    '1 layer',
    '0 layers',
    '2 entries',
  ]);
});

test.each([
  [5, '5 seconds'],
  [61, '1 minute'],
  [7200, '2 hours'],
  [86_400 * 3, '3 days'],
])('%i seconds are %s old', (seconds, words) => {
  const now = Date.parse('2026-01-05T00:00:00Z');
  expect(ageOf(new Date(now - seconds * 1000).toISOString(), now)).toBe(words);
});
