/**
 * yargs over the table of definitions: for help, completion, suggestions and the verbs that only people call. To load it costs
 * 28 ms (measured), so no verb that Garden calls imports this file.
 */
import yargs, { type Argv } from 'yargs';
import { Parser } from 'yargs/helpers';
import { PluginError } from '../../lib/base/errors/error.ts';
import { GLOBAL_OPTIONS, VERBS, type Verb } from './definitions.ts';
import type { OptionTable, OptionValue, VerbDefinition } from './options.ts';
import { readValue, type Words } from './parse.ts';

/** The settings of yargs that bring its grammar closest to Go's flag package. */
const GRAMMAR = {
  'halt-at-non-option': true,
  'nargs-eats-options': true,
  'short-option-groups': false,
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'duplicate-arguments-array': true,
} as const;

/**
 * In Go's grammar a boolean has a value only after `=`, which is one of twelve words. yargs would take the next word, and
 * knows two values. So yargs sees every option as text with a value, and `--flag` is passed as `--flag=<IMPLIED>`. The mark
 * is removed again from words that were values or arguments.
 */
const IMPLIED = '\u0000implied';

/** Reads options as `readOptions` does, with yargs. @throws CLI_* codes */
export function readWithYargs(
  words: readonly string[],
  table: OptionTable,
  builtIn: OptionTable,
  verb: string | undefined,
): Words {
  const all: OptionTable = { ...builtIn, ...table };
  const unmark = (word: string) => word.replace(`=${IMPLIED}`, '');
  const names = Object.keys(all);
  const { argv, error } = Parser.detailed(
    words.map((word) => (isBareBoolean(word, all) ? `${word}=${IMPLIED}` : word)),
    { string: names, narg: Object.fromEntries(names.map((name) => [name, 1])), configuration: GRAMMAR },
  );
  if (error) throw new PluginError('CLI_MISSING_VALUE', { flag: error.message.replace(/^.* /, '') });
  const { _: rest, ...given } = argv;
  const values: Record<string, OptionValue> = {};
  for (const [flag, texts] of Object.entries(given)) {
    const option = Object.hasOwn(all, flag) ? all[flag] : undefined;
    if (option === undefined) throw unknownFlag(flag, verb);
    for (const text of [texts].flat()) {
      const value = text === IMPLIED ? 'true' : unmark(String(text));
      values[flag] = readValue(flag, option, value, values[flag]);
    }
  }
  return { values, rest: rest.map((word) => unmark(String(word))) };
}

function isBareBoolean(word: string, table: OptionTable): boolean {
  const name = /^--?([^-=][^=]*)$/.exec(word)?.[1];
  return name !== undefined && Object.hasOwn(table, name) && table[name]?.type === 'boolean';
}

function unknownFlag(flag: string, verb: string | undefined): PluginError {
  if (/^[-=]/.test(flag)) return new PluginError('CLI_BAD_FLAG_SYNTAX', { argument: `-${flag}` });
  return new PluginError('CLI_UNKNOWN_FLAG', { flag, verb, suggestion: undefined, place: undefined });
}

/** The output of `graft help` and `graft help VERB`. @param columns of the terminal */
export async function helpText(topic: Verb | undefined, columns = USUAL_COLUMNS): Promise<string> {
  const page = topic === undefined ? describeAll() : describeVerb(topic);
  const text = await page.wrap(Math.min(columns, MOST_COLUMNS) - 1).getHelp();
  // Where a description fills its whole column, yargs writes no blank before the type that follows.
  return text.replace(/(?<=\S)(?=\[(?:string|boolean)\])/g, ' ').trimEnd();
}

const USUAL_COLUMNS = 80;
/** Longer lines are hard to read. */
const MOST_COLUMNS = 110;

function helpPage(usage: string): Argv {
  // `/` is the directory for relative file names. Without it yargs would ask for the working directory.
  return yargs([], '/').scriptName('graft').detectLocale(false).help(false).version(false).usage(usage);
}

function describeAll(): Argv {
  const parser = helpPage(
    'graft: root filesystems from images, for Garden\n\nUsage: graft [global options] <verb> [options] <arguments>',
  )
    .updateStrings({ 'Commands:': 'Verbs:', 'Options:': 'Global options, before the verb:' })
    .epilogue('`graft help VERB` tells more about a verb.');
  for (const [name, { summary, hidden }] of verbEntries())
    addVerb(parser, name, hidden ? undefined : summary);
  addOptions(parser, GLOBAL_OPTIONS);
  return parser;
}

function describeVerb(verb: Verb): Argv {
  const { summary, details, positionals }: VerbDefinition = VERBS[verb];
  const names = positionals.names.map((name) => ` <${name}>`).join('');
  const parser = helpPage(
    `graft ${verb}: ${summary}\n\nUsage: graft [global options] ${verb} [options]${names}`,
  );
  if (details !== '') parser.epilogue(details);
  addOptions(parser, VERBS[verb].options);
  return parser;
}

export function verbEntries(): [string, VerbDefinition][] {
  return Object.entries(VERBS);
}

/** @param summary undefined hides the verb */
export function addVerb(parser: Argv, name: string, summary: string | undefined): void {
  if (summary === undefined) parser.command(name, false);
  else parser.command(name, summary);
}

function addOptions(parser: Argv, table: OptionTable): void {
  for (const [name, option] of Object.entries(table)) {
    const valueName = option.valueName === undefined ? '' : `${option.valueName}: `;
    parser.option(name, {
      type: option.type === 'boolean' ? 'boolean' : 'string',
      describe: `${valueName}${option.description}`,
      hidden: option.hidden ?? false,
      ...(option.default === undefined ? {} : { defaultDescription: option.default }),
    });
  }
}
