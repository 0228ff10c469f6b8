/** The documentation as a whole: current, without dead ends, and speaking of nothing that is not there. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatedPages } from '../../ci/docs.ts';
import { GLOBAL_OPTIONS, VERBS } from '../../cmd/cli/definitions.ts';
import { readOptions, readStart, readVerb } from '../../cmd/cli/parse.ts';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { clientSettings } from '../../lib/cvmfs/client-settings.ts';
import settingsSchema from '../../lib/cvmfs/settings.schema.json';
import { PROJECT } from '../support/shell.ts';
import { allBlocks, blocks, brokenLinks, pages, readPage } from './page.ts';

const PAGES = pages();

test.each(Object.entries(generatedPages()))('docs/%s is what ci/docs writes', (name, text) => {
  if (readPage(`docs/${name}`) !== text) throw new Error(`docs/${name} is stale: run ci/docs`);
});

test('the index has every page', () => {
  const linked = [...readPage('docs/README.md').matchAll(/^\| \[[^\]]+\]\(([^)]+)\)/gm)].map(([, to]) => to);
  const there = readdirSync(join(PROJECT, 'docs')).filter(
    (name) => name.endsWith('.md') && name !== 'README.md',
  );
  expect([...linked].sort()).toEqual(there.sort());
});

test('the architecture page names files and folders that are there', () => {
  const named = [...readPage('docs/architecture.md').matchAll(/`((?:cmd|lib|test)\/[\w./-]*)`/g)].map(
    ([, path]) => path,
  );
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((path) => !existsSync(join(PROJECT, path ?? '')))).toEqual([]);
});

test('the architecture page names functions, constants and types that their files have', () => {
  const page = readPage('docs/architecture.md');
  const named = [...page.matchAll(/`((?:cmd|lib)\/[\w./-]*\.ts)`: ((?:`\w+`[^`;|.]*)+)/g)].flatMap(
    ([, file = '', names = '']) => [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => ({ file, name })),
  );
  expect(named.length).toBeGreaterThan(10);
  const missing = named.filter(({ file, name }) => !new RegExp(`\\b${name}\\b`).test(readPage(file)));
  expect(missing).toEqual([]);
});

/** The tests that run the commands of a page. */
const RUN_BY: Readonly<Record<string, string>> = {
  'bosh/src/cvmfs-client/README.md': 'test/e2e/operators-walk.test.ts',
  'docs/behind-garden.md': 'test/e2e/operators-walk.test.ts',
  'docs/bosh-cell.md': 'test/e2e/operators-walk.test.ts',
  'docs/by-hand.md': 'test/docs/by-hand.test.ts',
  'docs/cvmfs.md': 'test/e2e/operators-walk.test.ts',
  'docs/getting-started.md': 'test/e2e/operators-walk.test.ts',
  'docs/moving-from-grootfs.md': 'test/bosh/docs.test.ts',
  'docs/publishing.md': 'test/docs/publishing.test.ts',
  'docs/store-on-disk.md': 'test/quota/docs.test.ts',
  'docs/trust.md': 'test/e2e/trust/page.test.ts',
  'docs/troubleshooting.md': 'test/quota/docs.test.ts',
  'docs/verbs.md': 'test/docs/verbs.test.ts',
  'docs/warming-cells.md': 'test/docs/by-hand.test.ts',
  'docs/where-the-disk-went.md': 'test/quota/docs.test.ts',
};

test('every page with commands has a test that runs them', () => {
  const withCommands = PAGES.filter((page) => blocks(page, 'sh').length > 0);
  expect(withCommands).toEqual(Object.keys(RUN_BY).sort());
  for (const [page, path] of Object.entries(RUN_BY))
    expect([page, readFileSync(join(PROJECT, path), 'utf8').includes(`'${page}'`)]).toEqual([page, true]);
});

describe.each(PAGES)('%s', (page) => {
  test('links to files and headings that are there', () => {
    expect(brokenLinks(page)).toEqual([]);
  });

  test('names no package host and no path of one machine', () => {
    const text = readPage(page);
    expect(
      text.match(/npmjs|yarnpkg|pypi|pythonhosted|crates\.io|deb\.debian|archive\.ubuntu|proxy\.golang/gi),
    ).toBeNull();
    expect(text.match(/(?<![\w/.$])\/(work|root|home|Users|workspace|builds)\b[^\s`]*/g)).toBeNull();
  });

  test('names verbs and options that graft has', () => {
    expect(commandsOf(page).flatMap(misread)).toEqual([]);
    expect(optionsOf(page).filter((name) => !known.has(name))).toEqual([]);
  });
});

/** Options of other programs that the pages speak of, and `--name`, which stands for any. */
const OF_OTHERS = [
  'name',
  'no-addons',
  'decryption-key',
  'sign-by',
  'keep-ownership',
  'grace-period',
  'platform',
  'image-plugin',
  'image-plugin-extra-arg',
].concat(['privileged-image-plugin', 'privileged-image-plugin-extra-arg', 'force', 'version', 'help']);
const known = new Set([
  ...Object.keys(GLOBAL_OPTIONS),
  ...Object.values(VERBS).flatMap(({ options }) => Object.keys(options)),
  ...OF_OTHERS,
]);

function optionsOf(page: string): string[] {
  const text = readPage(page).replace(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(/`--([a-z][a-z-]*)/g)].map(([, name = '']) => name);
}

/** Command lines of graft on a page, in blocks and between backticks, as words. */
function commandsOf(page: string): string[][] {
  const lines = allBlocks(page).flatMap(({ language, text }) =>
    language === 'sh' ? text.replaceAll('\\\n', ' ').split('\n') : [],
  );
  const spans = [
    ...readPage(page)
      .replace(/^```[\s\S]*?^```$/gm, '')
      .matchAll(/`(graft [^`]*)`/g),
  ].map(([, span = '']) => span);
  return [...lines, ...spans]
    .flatMap((line) => line.split(/ (?:&&|\|\||[|;]) /))
    .flatMap((line) => {
      const words = [...line.matchAll(/"[^"]*"|'[^']*'|[^\s"']+/g)].map(([word]) => word);
      const at = words.findIndex((word) => word === 'graft' || word.endsWith('/bin/graft'));
      const rest = words.slice(at + 1).filter((word) => !/^\d*[<>]/.test(word));
      // `graft [global options] VERB` is how a command line is described, and none.
      return at < 0 || rest.some((word) => /^[[<]|^VERB$|…/.test(word)) ? [] : [rest];
    });
}

/** What graft could not read of a command line, its missing arguments aside. */
function misread(words: string[]): string[] {
  try {
    readVerb(readStart(words, readOptions), VERBS, readOptions);
    return [];
  } catch (error) {
    const incomplete = isPluginError(error, 'CLI_BAD_ARGUMENTS') || isPluginError(error, 'CLI_ID_MISSING');
    return incomplete ? [] : [`graft ${words.join(' ')}: ${String(error)}`];
  }
}

describe('the checks bite on', () => {
  test.each([
    [['creat', 'x', 'y'], 'CLI_UNKNOWN_VERB'],
    [['create', '--with-cleaning', 'x', 'y'], 'CLI_UNKNOWN_FLAG'],
    [['--stor', '/s', 'list'], 'CLI_UNKNOWN_FLAG'],
    [['create', '--disk-limit-size-bytes', 'much', 'x', 'y'], 'CLI_BAD_VALUE'],
  ])('%p', (words, code) => {
    expect(misread(words)).toEqual([expect.stringContaining(code)]);
  });

  test('links to nothing, and headings that are not there', () => {
    const at = 'docs/README.md';
    expect(
      brokenLinks(at, '[a](nowhere.md) [b](verbs.md#no-such-verb) [c](#nor-this) [d](verbs.md#create)'),
    ).toEqual([`${at}: nowhere.md`, `${at}: verbs.md#no-such-verb`, `${at}: #nor-this`]);
  });
});

describe('docs/security.md', () => {
  const [, defended = '', open = ''] =
    /## What is defended\n([\s\S]*)## What is not defended\n([\s\S]*)/.exec(readPage('docs/security.md')) ??
    [];

  test('names for every claim a test that attacks it', () => {
    const claims = defended.split('\n').filter((line) => /^\| (?!claim|-)/.test(line));
    expect(claims.length).toBeGreaterThan(20);
    for (const claim of claims) {
      const tests = [...claim.matchAll(/\]\(\.\.\/(test\/[^)]+\.test\.ts)\)/g)].map(([, path = '']) => path);
      expect([claim, tests.length > 0 && tests.every((path) => existsSync(join(PROJECT, path)))]).toEqual([
        claim,
        true,
      ]);
    }
  });

  test('says what is not defended', () => {
    expect(open.match(/^- \*\*/gm)?.length).toBeGreaterThan(7);
  });
});

describe('docs/cvmfs.md', () => {
  const page = readPage('docs/cvmfs.md');

  test('explains every doubt', () => {
    const explained = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, doubt]) => doubt);
    expect(explained).toEqual(settingsSchema.definitions.doubt.enum);
  });

  test('has the settings of the client that doctor prints', () => {
    const [shown = ''] = blocks('docs/cvmfs.md', 'ini');
    const repository = { name: 'images.example.org', revision: 'follow' };
    const printed = clientSettings(repository as Parameters<typeof clientSettings>[0]);
    const wanted = printed.filter((line) => line.startsWith('CVMFS_'));
    expect(wanted.length).toBeGreaterThan(1);
    for (const line of wanted) expect(shown.split('\n')).toContain(line);
  });
});
