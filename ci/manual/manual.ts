/**
 * The manual, made of the same definitions as parsers, help and completion. This is its content; how it looks as
 * Markdown or as a man page is in the files beside.
 */
import { GLOBAL_OPTIONS, VERBS, type Verb } from '../../cmd/cli/definitions.ts';
import type { OptionDefinition, OptionTable, VerbDefinition } from '../../cmd/cli/options.ts';
import { ENVIRONMENT, EXIT_STATUS, FILES, NOTES, type VerbNotes } from './manual-notes.ts';

/** `code` in texts is between backticks. */
export interface ManualOption {
  /** `--store DIR` */
  readonly term: string;
  readonly text: string;
  /** Where the configuration file says the same. */
  readonly configKey: string | undefined;
  readonly default: string | undefined;
}

export interface ManualTerm {
  readonly term: string;
  readonly text: string;
}

export interface VerbPage {
  readonly verb: Verb;
  readonly summary: string;
  /** `graft [global options] create [options] <image> <id>` */
  readonly synopsis: string;
  readonly details: string;
  readonly options: readonly ManualOption[];
  readonly notes: VerbNotes;
}

export interface Manual {
  readonly globals: readonly ManualOption[];
  readonly verbs: readonly VerbPage[];
  readonly exitStatus: readonly ManualTerm[];
  readonly environment: readonly ManualTerm[];
  readonly files: readonly ManualTerm[];
}

/** @throws Error for a verb about which the notes say nothing. */
export function manual(): Manual {
  const verbs = (Object.keys(VERBS) as Verb[]).filter((verb) => !(VERBS[verb] as VerbDefinition).hidden);
  return {
    globals: optionsOf(GLOBAL_OPTIONS),
    verbs: verbs.map(verbPage),
    exitStatus: EXIT_STATUS,
    environment: ENVIRONMENT,
    files: FILES,
  };
}

function verbPage(verb: Verb): VerbPage {
  const { summary, details, options, positionals }: VerbDefinition = VERBS[verb];
  const notes = NOTES[verb];
  if (notes === undefined) throw new Error(`ci/manual/manual-notes.ts says nothing about the verb ${verb}`);
  const shown = optionsOf(options);
  const optional = typeof positionals.count === 'object';
  const names = positionals.names.map((name) => (optional ? ` [<${name}>]` : ` <${name}>`)).join('');
  const synopsis = `graft [global options] ${verb}${shown.length > 0 ? ' [options]' : ''}${names}`;
  return { verb, summary, synopsis, details, options: shown, notes };
}

function optionsOf(table: OptionTable): ManualOption[] {
  return Object.entries(table)
    .filter(([, option]) => !option.hidden)
    .map(([name, option]) => ({
      term: `--${name}${valueNameOf(option)}`,
      text: `${option.description}.`,
      configKey: option.configKey,
      default: option.default,
    }));
}

function valueNameOf({ valueName }: OptionDefinition): string {
  return valueName === undefined ? '' : ` ${valueName}`;
}
