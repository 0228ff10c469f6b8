/** The man pages: valid for both programs that show them, and complete. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { manual } from '../../ci/manual/manual.ts';
import { manPages } from '../../ci/manual/manual-roff.ts';
import { GLOBAL_OPTIONS, VERBS } from '../../cmd/cli/definitions.ts';
import type { OptionTable, VerbDefinition } from '../../cmd/cli/options.ts';
import { GROOT_KEYS } from '../../cmd/settings/groot-keys.ts';
import { cleanEnv, must, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const RELEASE = { version: '1.2.3', date: '2026-07-31' };
const PAGES = manPages(manual(), RELEASE);
const verbs = Object.entries<VerbDefinition>(VERBS).filter(([, { hidden }]) => !hidden);

let dir: TempDir;
beforeAll(async () => {
  dir = tempDir();
  await must('ci/man', [dir.path, dir.at('five')], { env: cleanEnv({ SOURCE_DATE_EPOCH: '1785456000' }) });
});
afterAll(() => dir.remove());

test('there is one for graft and one for every verb', () => {
  const wanted = ['graft.1', ...verbs.map(([verb]) => `graft-${verb}.1`)];
  expect(
    readdirSync(dir.path)
      .filter((name) => name !== 'five')
      .sort(),
  ).toEqual(wanted.sort());
  expect(PAGES.map(({ file }) => file).sort()).toEqual(wanted.sort());
});

test('the settings have a page of section 5 with every key', async () => {
  const file = dir.at('five/graft-settings.5');
  expect(await run('mandoc', ['-T', 'lint', '-W', 'warning', file])).toMatchObject({
    code: 0,
    stdout: '',
    stderr: '',
  });
  const shown = (await must('mandoc', ['-T', 'ascii', '-O', 'width=200', file])).replace(/.\x08/g, '');
  const keys = [
    ...Object.keys(GROOT_KEYS),
    'parallel_downloads',
    'retry_after_hang_s',
    'accept_unverified_layers',
    'token_file',
  ];
  expect(keys.filter((key) => !shown.includes(key))).toEqual([]);
});

describe.each(PAGES.map(({ file }) => file))('%s', (file) => {
  test('is what mandoc and groff find nothing wrong with', async () => {
    const lint = await run('mandoc', ['-T', 'lint', '-W', 'style', dir.at(file)]);
    expect(lint).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const groff = await run('groff', ['-ww', '-z', '-man', '-Tutf8', dir.at(file)]);
    expect(groff).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  test('has the version, the date and every option, and no other', async () => {
    const shown = (await must('mandoc', ['-T', 'ascii', '-O', 'width=200', dir.at(file)])).replace(
      /.\x08/g,
      '',
    );
    expect(shown).toContain('2026-07-31');
    const verb = /^graft-(.*)\.1$/.exec(file)?.[1];
    const table: OptionTable =
      verb === undefined ? GLOBAL_OPTIONS : VERBS[verb as keyof typeof VERBS].options;
    const wanted = Object.entries(table).flatMap(([name, { hidden }]) => (hidden ? [] : [`--${name}`]));
    const found = [...shown.matchAll(/^ +(--[a-z-]+)(?: [A-Z_:/[\]]+)?(?: +[A-Z][a-z].*)?$/gm)].map(
      ([, name]) => name,
    );
    expect(found).toEqual(wanted);
    if (verb !== undefined) expect(shown).toContain(VERBS[verb as keyof typeof VERBS].summary);
  });

  test('breaks no command when it is copied: hyphens are hyphens', () => {
    const text = readFileSync(dir.at(file), 'utf8');
    const unescaped = text
      .split('\n')
      .filter((line) => !line.startsWith('.\\"') && /(?<!\\)-/.test(line.replace(/^\.TH.*/, '')));
    expect(unescaped).toEqual([]);
  });
});

test('what macros would take for themselves stays text', () => {
  const odd = {
    ...manual(),
    files: [{ term: '.profile', text: ".leading dot, 'quote', back\\slash and … beyond ASCII." }],
  };
  const [first] = manPages(odd, RELEASE);
  expect(first?.text).toContain(
    '\\&.leading dot, \\(aqquote\\(aq, back\\eslash and \\[u2026] beyond ASCII.\n',
  );
});
