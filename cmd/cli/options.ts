/** The value an option takes. `list` may be repeated and is split at commas; `int64` is a count of bytes. */
type OptionType = 'string' | 'boolean' | 'int64' | 'list';

/** One option, from which the parsers, the help, the completion and the manual pages are all made. */
export interface OptionDefinition {
  readonly type: OptionType;
  readonly description: string;
  /** What stands for the value in help: `DIR`, `BYTES`. */
  readonly placeholder?: string;
  /** Shown in help; the value itself is decided in `settings.ts`, after the configuration file was read. */
  readonly default?: string;
  /** The key of GrootFS's configuration file that says the same, `create.with_clean`. */
  readonly configKey?: string;
  /** Accepted so that command lines written for GrootFS keep working; graft itself needs no such thing. */
  readonly unneeded?: true;
  /** Not in help, completion or the manual. */
  readonly hidden?: true;
}

export type OptionTable = Readonly<Record<string, OptionDefinition>>;

/**
 * What may follow the options: `count` arguments exactly, or anything at all (GrootFS ignores what it does
 * not read, and scripts have come to pass it).
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
  /** Called by people alone: its options are read by yargs, whatever that costs at start. */
  readonly rare?: true;
}

interface ValueOf {
  string: string;
  boolean: boolean;
  int64: number;
  list: readonly string[];
}

/** The values given on a command line, by the option's own name; an option not given is absent. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]?: ValueOf[T[K]['type']];
};

export type OptionValue = ValueOf[OptionType];
