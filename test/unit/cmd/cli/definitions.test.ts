import { describe, expect, test } from 'bun:test';
import { completionScript, completions } from '../../../../cmd/cli/completion.ts';
import { GLOBAL_OPTIONS, usageOf, VERBS, type Verb } from '../../../../cmd/cli/definitions.ts';
import type { OptionTable, VerbDefinition } from '../../../../cmd/cli/options.ts';
import { helpText } from '../../../../cmd/cli/yargs.ts';
import { isPluginError } from '../../../../lib/base/errors/error.ts';

const verbs = Object.entries(VERBS as Record<string, VerbDefinition>);
const shown = (table: OptionTable) => Object.keys(table).filter((name) => !table[name]?.hidden);

/** GrootFS's command line, July 2026 (grootfs, commands/*.go and main.go). */
const GROOTFS: Readonly<Record<string, readonly string[]>> = {
  'init-store': ['uid-mapping', 'gid-mapping', 'store-size-bytes', 'with-direct-io'],
  'delete-store': [],
  create: [
    ...['disk-limit-size-bytes', 'exclude-image-from-quota', 'insecure-registry', 'skip-layer-validation'],
    ...[
      'with-clean',
      'without-clean',
      'threshold-bytes',
      'with-mount',
      'without-mount',
      'username',
      'password',
    ],
    'clean-log-file',
  ],
  delete: [],
  stats: [],
  clean: ['threshold-bytes'],
  list: [],
  capacity: [],
  'generate-volume-size-metadata': [],
};

describe('the definitions', () => {
  test.each(Object.entries(GROOTFS))('%s has every option of GrootFS', (verb, options) => {
    expect(Object.keys(VERBS[verb as Verb].options)).toEqual(expect.arrayContaining([...options]));
  });

  test('every option of a verb with a key in the file names one that the file has', async () => {
    const { GROOT_KEYS } = await import('../../../../cmd/settings/groot-keys.ts');
    const tables: OptionTable[] = [GLOBAL_OPTIONS, ...verbs.map(([, { options }]) => options)];
    for (const table of tables)
      for (const { configKey } of Object.values(table))
        if (configKey !== undefined) expect(Object.keys(GROOT_KEYS)).toContain(configKey);
  });

  test('usage lines are GrootFS’s', () => {
    expect(usageOf('create')).toBe('create [options] <image> <id>');
    expect(usageOf('stats')).toBe('stats [options] <id|image path>');
  });
});

describe('help', () => {
  test('lists every verb and global option that is not hidden', async () => {
    const text = await helpText(undefined);
    for (const [name, { hidden }] of verbs)
      expect([name, new RegExp(`^ +graft ${name} `, 'm').test(text)]).toEqual([name, !hidden]);
    for (const name of shown(GLOBAL_OPTIONS)) expect(text).toContain(`--${name} `);
    expect(text).not.toContain('log-timestamp-format');
  });

  test.each(verbs)('%s: every option and argument', async (name, { options, positionals }) => {
    const text = await helpText(name as Verb);
    for (const option of shown(options)) expect(text).toContain(`--${option}`);
    for (const argument of positionals.names) expect(text).toContain(`<${argument}>`);
  });

  test('leaves a blank before the type of an option, however long what it says', async () => {
    for (const topic of [undefined, ...verbs.map(([name]) => name as Verb)])
      expect((await helpText(topic)).match(/\S\[(?:string|boolean)\]/)).toBeNull();
  });
});

describe('completion', () => {
  test.each([
    [['graft', 'cre'], ['create']],
    [
      ['graft', 'delete'],
      ['delete', 'delete-store'],
    ],
    [['graft', '--sto'], ['--store']],
    [['graft', '--store', '/s', 'li'], ['list']],
    [
      ['graft', 'create', '--without'],
      ['--without-clean', '--without-mount'],
    ],
    [
      ['graft', 'clean', '--'],
      ['--threshold-bytes', '--dry-run'],
    ],
    [['graft', 'gen'], []],
    [['graft', 'create', '--log'], []],
  ])('%p', async (words, expected) => {
    expect((await completions(words)).sort()).toEqual([...expected].sort());
  });

  test('an empty word offers every verb', async () => {
    const offered = await completions(['graft', '']);
    for (const [name, { hidden }] of verbs) expect([name, offered.includes(name)]).toEqual([name, !hidden]);
  });

  test('the script for bash is a script that bash takes', () => {
    const script = completionScript('bash');
    const { exitCode, stderr } = Bun.spawnSync(['bash', '--norc', '-n'], { stdin: Buffer.from(script) });
    expect([exitCode, stderr.toString()]).toEqual([0, '']);
  });

  test('knows levels of the log, shells, ids and images', async () => {
    const names = { ids: () => ['web'], images: () => ['oci:///srv/app:1', 'docker://h/app'] };
    expect(await completions(['graft', '--log-level', ''], names)).toEqual([
      'debug',
      'info',
      'error',
      'fatal',
    ]);
    expect(await completions(['graft', 'completion', ''], names)).toEqual(['bash', 'zsh', 'fish']);
    expect(await completions(['graft', 'diff', ''], names)).toEqual(['web']);
    expect(await completions(['graft', 'run', ''], names)).toEqual([
      'web',
      'oci:///srv/app:1',
      'docker://h/app',
    ]);
    expect(await completions(['graft', 'create', 'oci', ':', '///s'], names)).toEqual(['///srv/app:1']);
  });

  test('the script for fish asks graft for the words before the cursor', () => {
    expect(completionScript('fish')).toContain('graft completion --words -- $before');
  });

  test('another shell is refused', () => {
    try {
      completionScript('csh');
      expect.unreachable();
    } catch (error) {
      expect(isPluginError(error, 'CLI_BAD_ARGUMENTS')).toBe(true);
    }
  });
});
