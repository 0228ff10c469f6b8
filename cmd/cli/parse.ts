/**
 * The reader of command lines, in GrootFS's grammar (urfave/cli over Go's flag package):
 * `[global options] verb [options] arguments`; `-flag` is `--flag`; the first word that is no option ends
 * the options, so an option after an argument is another argument; `--` also ends them and is dropped. GrootFS lacks the
 * rare verbs, and people type their options after the arguments too, so these verbs take options anywhere before `--`.
 *
 * Garden calls graft thousands of times a day. This reader costs nothing at start, while yargs costs 28 ms (measured).
 * `yargs.ts` reads options by the same table (`definitions.ts`), and a test compares the answers of the two.
 */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { GlobalValues, Verb, VerbValues } from './definitions.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';
import type { OptionDefinition, OptionTable, OptionValue, VerbDefinition } from './options.ts';
import { checkPositionals } from './positionals.ts';
import { sizeInBytes } from './sizes.ts';
import { parseBoolean, parseInteger, splitList } from './values.ts';

/** A valid command line. The options for help and version have become the verbs `help` and `version`. */
export type Invocation = {
  [V in Verb]: {
    readonly verb: V;
    readonly globals: GlobalValues;
    readonly options: VerbValues<V>;
    readonly positionals: readonly string[];
  };
}[Verb];

export interface Words {
  readonly values: Record<string, OptionValue>;
  readonly rest: readonly string[];
}

const HELP = { type: 'boolean', description: 'print help' } as const;
const VERSION = { type: 'boolean', description: 'print the version' } as const;
/** The options that urfave/cli adds to the global options, and to those of each verb. */
const GLOBAL_BUILT_IN: OptionTable = { help: HELP, h: HELP, version: VERSION, v: VERSION };
const VERB_BUILT_IN: OptionTable = { help: HELP, h: HELP };

/** Reads the options at the start of `words`. The verb is undefined for global options. */
export type ReadOptions = (
  words: readonly string[],
  table: OptionTable,
  builtIn: OptionTable,
  verb: string | undefined,
) => Words;

/** Verbs by their names: all of them, or those of Garden. */
export type VerbTable = Readonly<Record<string, VerbDefinition>>;

/** A command line up to its verb. */
export interface Start {
  /** The word in the place of the verb. */
  readonly verb: string;
  readonly globals: Record<string, OptionValue>;
  /** The words after the verb. */
  readonly words: readonly string[];
}

/** @param argv without the program's name. @throws CLI_* codes */
export function parseCommandLine(argv: readonly string[], verbs: VerbTable, read: ReadOptions): Invocation {
  return readVerb(readStart(argv, read), verbs, read);
}

/** The global options and the word in the place of the verb. @throws CLI_* codes */
export function readStart(argv: readonly string[], read: ReadOptions): Start {
  const { values: globals, rest } = read(argv, GLOBAL_OPTIONS, GLOBAL_BUILT_IN, undefined);
  if (globals['help'] || globals['h']) return { verb: 'help', globals: {}, words: [] };
  if (globals['version'] || globals['v']) return { verb: 'version', globals: {}, words: [] };
  const [word = 'help', ...words] = rest;
  return { verb: word === 'h' ? 'help' : word, globals, words };
}

/** The options and arguments of the verb. @throws CLI_* codes */
export function readVerb(
  { verb: word, globals, words }: Start,
  verbs: VerbTable,
  read: ReadOptions,
): Invocation {
  const verb = knownVerb(word, verbs);
  const definition = verbs[verb];
  if (definition === undefined) throw new TypeError(`${verb} has no definition`);
  const { rare, options: table } = definition;
  const readPart = (part: readonly string[]) => read(part, table, VERB_BUILT_IN, verb);
  const { values: options, rest: positionals } = rare ? readAnywhere(words, readPart) : readPart(words);
  if (options['help'] || options['h']) return invocation('help', globals, {}, [verb]);
  checkPositionals(verb, definition, positionals);
  return invocation(verb, globals, options, positionals);
}

/** @throws CLI_UNKNOWN_VERB for a word that is no verb of the table */
export function knownVerb(word: string, verbs: VerbTable): Verb {
  if (!Object.hasOwn(verbs, word))
    throw new PluginError('CLI_UNKNOWN_VERB', { verb: word, suggestion: undefined });
  return word as Verb;
}

/** Reads options before, between and after arguments. After `--` all words are arguments. */
function readAnywhere(words: readonly string[], read: (words: readonly string[]) => Words): Words {
  const values: Record<string, OptionValue> = {};
  const positionals: string[] = [];
  let left = words;
  for (;;) {
    const { values: given, rest } = read(left);
    for (const [name, value] of Object.entries(given)) {
      const earlier = values[name];
      values[name] = Array.isArray(value) && Array.isArray(earlier) ? [...earlier, ...value] : value;
    }
    const [first, ...more] = rest;
    if (first === undefined || left.at(-rest.length - 1) === '--')
      return { values, rest: [...positionals, ...rest] };
    positionals.push(first);
    left = more;
  }
}

/** The only cast of values to the types of their table. */
function invocation(
  verb: Verb,
  globals: Record<string, OptionValue>,
  options: Record<string, OptionValue>,
  positionals: readonly string[],
): Invocation {
  return { verb, globals, options, positionals } as Invocation;
}

export function readOptions(
  words: readonly string[],
  table: OptionTable,
  builtIn: OptionTable,
  verb: string | undefined,
): Words {
  const values: Record<string, OptionValue> = {};
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? '';
    if (word.length < 2 || word[0] !== '-') break;
    at += 1;
    if (word === '--') break;
    const { name, inline } = splitFlag(word);
    const option = Object.hasOwn(table, name) ? table[name] : builtIn[name];
    if (option === undefined || !(Object.hasOwn(table, name) || Object.hasOwn(builtIn, name)))
      throw new PluginError('CLI_UNKNOWN_FLAG', {
        flag: name,
        verb,
        suggestion: undefined,
        place: undefined,
      });
    const text = inline ?? (option.type === 'boolean' ? 'true' : words[at++]);
    if (text === undefined) throw new PluginError('CLI_MISSING_VALUE', { flag: name });
    values[name] = readValue(name, option, text, values[name]);
  }
  return { values, rest: words.slice(at) };
}

function splitFlag(word: string): { name: string; inline: string | undefined } {
  const body = word.slice(word[1] === '-' ? 2 : 1);
  if (body === '' || body[0] === '-' || body[0] === '=')
    throw new PluginError('CLI_BAD_FLAG_SYNTAX', { argument: word });
  const equals = body.indexOf('=');
  return equals < 0
    ? { name: body, inline: undefined }
    : { name: body.slice(0, equals), inline: body.slice(equals + 1) };
}

/** @param earlier the value of an earlier occurrence: lists grow, other values are replaced */
export function readValue(
  name: string,
  option: OptionDefinition,
  text: string,
  earlier: OptionValue | undefined,
): OptionValue {
  switch (option.type) {
    case 'string':
      return text;
    case 'texts':
      return [...(Array.isArray(earlier) ? earlier : []), text];
    case 'list':
      return [...(Array.isArray(earlier) ? earlier : []), ...splitList(text)];
    case 'boolean': {
      const value = parseBoolean(text);
      if (value === undefined) throw badValue(name, option, text, 'parse error');
      return value;
    }
    case 'int64': {
      const parsed = parseInteger(text);
      if ('value' in parsed) return parsed.value;
      const bytes = sizeInBytes(text);
      if (bytes === undefined) throw badValue(name, option, text, parsed.reason);
      return bytes;
    }
  }
}

function badValue(flag: string, option: OptionDefinition, value: string, reason: string): PluginError {
  const type = option.type === 'boolean' || option.type === 'int64' ? option.type : 'text';
  return new PluginError('CLI_BAD_VALUE', { flag, value, type, reason });
}
