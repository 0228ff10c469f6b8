/**
 * The type of an option's value. A `list` may be repeated and is split at commas; `texts` may be repeated and is not
 * split; `int64` is a number of bytes.
 */
type OptionType = 'string' | 'boolean' | 'int64' | 'list' | 'texts';

/** An option. The parsers, the help, the completion and the manual pages are made from it. */
export interface OptionDefinition {
  readonly type: OptionType;
  readonly description: string;
  /** The word for the value in help: `DIR`, `BYTES`. */
  readonly valueName?: string;
  /** The default in help. `settings.ts` applies defaults, after it has read the configuration file. */
  readonly default?: string;
  /** The key of GrootFS's configuration file with the same meaning, `create.with_clean`. */
  readonly configKey?: string;
  /** graft does not use the option, and accepts it so that command lines written for GrootFS keep working. */
  readonly unneeded?: true;
  /** Not in help, completion or the manual. */
  readonly hidden?: true;
}

export type OptionTable = Readonly<Record<string, OptionDefinition>>;

/**
 * The arguments after the options: exactly `count`, or any number (some verbs of GrootFS ignore arguments, and scripts
 * pass some).
 */
export interface PositionalDefinition {
  readonly names: readonly string[];
  readonly count: number | readonly number[] | 'ignored';
}

export interface VerbDefinition {
  readonly summary: string;
  /** More lines for `help VERB` and the manual. */
  readonly details: string;
  readonly options: OptionTable;
  readonly positionals: PositionalDefinition;
  readonly hidden?: true;
  /** Only people call the verb: yargs reads its options although it is slow to load, and they may follow arguments. */
  readonly rare?: true;
}

export const NOTHING: PositionalDefinition = { names: [], count: 0 };
export const IGNORED: PositionalDefinition = { names: [], count: 'ignored' };

/** `stats [options] <id|image path>`, as GrootFS words it in its errors. */
export function usageLine(verb: string, { options, positionals }: VerbDefinition): string {
  const names = positionals.names.map((name) => ` <${name}>`).join('');
  return `${verb}${Object.keys(options).length > 0 || names !== '' ? ' [options]' : ''}${names}`;
}

interface ValueOf {
  string: string;
  boolean: boolean;
  int64: number;
  list: readonly string[];
  texts: readonly string[];
}

/** The values of a command line by the option's name. An option that is not given is absent. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]?: ValueOf[T[K]['type']];
};

export type OptionValue = ValueOf[OptionType];
