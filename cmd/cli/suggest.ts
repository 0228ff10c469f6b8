import yargs from 'yargs';
import { GLOBAL_OPTIONS, isVerb, VERBS } from './definitions.ts';
import type { OptionTable, VerbDefinition } from './options.ts';
import { addVerb } from './yargs.ts';

/** Verbs of other programs, as fingers know them, and the verb of graft that does their work. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  df: 'usage',
  du: 'usage',
  exec: 'run',
  fsck: 'check',
  gc: 'clean',
  info: 'doctor',
  ls: 'list',
  prune: 'clean',
  ps: 'list',
  rm: 'delete',
  unpack: 'export',
};

/** The verb that is closest to a word, or does what other programs call so; undefined where none is close. */
export async function suggestVerb(word: string): Promise<string | undefined> {
  if (Object.hasOwn(ELSEWHERE, word)) return ELSEWHERE[word];
  const known = Object.entries(VERBS as Record<string, VerbDefinition>);
  return closest(
    word,
    known.filter(([, definition]) => !definition.hidden).map(([name]) => name),
  );
}

/** The option that is closest to a word. @param verb the verb before the option; undefined for a global option */
export async function suggestFlag(word: string, verb: string | undefined): Promise<string | undefined> {
  const close = await closest(word, visible(optionsAt(verb)));
  return close === undefined ? undefined : `--${close}`;
}

/** The verbs that have an option, in words, for an option that was given elsewhere; undefined where none has it. */
export function verbsWith(flag: string, verb: string | undefined): string | undefined {
  if (verb !== undefined && Object.hasOwn(GLOBAL_OPTIONS, flag)) return `graft itself, before \`${verb}\``;
  const verbs = Object.entries(VERBS).filter(([, { options }]) => Object.hasOwn(options, flag));
  const names = verbs.map(([name]) => `\`${name}\``);
  if (names.length === 0) return undefined;
  return verb === undefined ? `${names.join(', ')}, after the verb` : names.join(', ');
}

function optionsAt(verb: string | undefined): OptionTable {
  return verb !== undefined && isVerb(verb) ? VERBS[verb].options : GLOBAL_OPTIONS;
}

function visible(table: OptionTable): string[] {
  return Object.keys(table).filter((name) => !table[name]?.hidden);
}

/** The name that yargs recommends for a misspelt word. yargs recommends commands only, so the names are declared as such. */
async function closest(word: string, names: readonly string[]): Promise<string | undefined> {
  let said = '';
  const parser = yargs([], '/')
    .recommendCommands()
    .detectLocale(false)
    .exitProcess(false)
    .help(false)
    .version(false);
  for (const name of names) addVerb(parser, name, undefined);
  parser.fail((message) => {
    said += `${message}\n`;
  });
  await parser.parseAsync([word]);
  return names.find((name) => said.includes(`Did you mean ${name}?`));
}
