import yargs from 'yargs';
import { PluginError } from '../../lib/base/errors/error.ts';
import { GLOBAL_OPTIONS, isVerb, VERBS, type Verb } from './definitions.ts';
import type { OptionTable, PositionalDefinition } from './options.ts';
import { readOptions } from './parse.ts';
import { addVerb, verbEntries } from './yargs.ts';

/** Names in the store of a command line. @param line up to the cursor, without graft's name */
type ListNames = (line: readonly string[]) => readonly string[];

interface StoreNames {
  /** The ids of root filesystems. */
  readonly ids: ListNames;
  /** The references of images that the store knows. */
  readonly images: ListNames;
}

const NO_NAMES: StoreNames = { ids: () => [], images: () => [] };

/** The words that fit at the cursor. @param words the line so far, graft's name first */
export async function completions(words: readonly string[], names = NO_NAMES): Promise<string[]> {
  const { line, cut } = rejoin(words.slice(1));
  const last = line.at(-1) ?? '';
  const found = await candidates(line.slice(0, -1), last.startsWith('-') ? '--' : '', {
    ids: () => names.ids(line),
    images: () => names.images(line),
  });
  return found.filter((word) => word.startsWith(last)).map((word) => word.slice(cut));
}

/**
 * Joins the words of bash, which splits `--store=/s` and `a:b` into three words each (COMP_WORDBREAKS) and replaces only
 * the last. @returns the words as they were typed, and the number of characters of the last word that bash keeps
 */
function rejoin(words: readonly string[]): { line: string[]; cut: number } {
  const line: string[] = [];
  let cut = 0;
  let open = false;
  for (const word of words) {
    const joins = word === '=' || word === ':';
    if (line.length > 0 && (joins || open)) {
      cut = joins ? `${line.at(-1)}${word}`.length : `${line.at(-1)}`.length;
      line.push(`${line.pop()}${word}`);
    } else {
      line.push(word);
      cut = 0;
    }
    open = joins;
  }
  return { line, cut };
}

/** @param before the words in front of the cursor's word. @param typed `--` where that word begins an option */
async function candidates(
  before: readonly string[],
  typed: string,
  names: { readonly ids: () => readonly string[]; readonly images: () => readonly string[] },
): Promise<readonly string[]> {
  if (before.at(-1) === '--log-level') return LOG_LEVELS;
  const start = restOf(before, GLOBAL_OPTIONS);
  // The next word is a value, or the line has an unknown option: the shell then offers files.
  if (start === undefined) return [];
  const [verb, ...words] = start;
  if (verb === undefined) return offer(GLOBAL_OPTIONS, [...before, typed], true);
  const given = isVerb(verb) ? restOf(words, VERBS[verb].options) : undefined;
  if (given === undefined || !isVerb(verb)) return [];
  if (given.length > 0) return [];
  return typed === '' ? argumentsOf(verb, names) : offer(VERBS[verb].options, [...words, typed], false);
}

/** The words after the options; undefined where the options cannot be read. */
function restOf(words: readonly string[], table: OptionTable): readonly string[] | undefined {
  try {
    return readOptions(words, table, {}, undefined).rest;
  } catch {
    return undefined;
  }
}

/** Options from yargs, without those that are already on the line. @param verbs whether verbs fit too */
function offer(table: OptionTable, words: string[], verbs: boolean): Promise<readonly string[]> {
  const parser = yargs([], '/').help(false).version(false).exitProcess(false).detectLocale(false);
  for (const [name, { type, hidden }] of Object.entries(table))
    if (!hidden) parser.option(name, { type: type === 'boolean' ? 'boolean' : 'string' });
  if (verbs)
    for (const [name, { summary, hidden }] of verbEntries())
      addVerb(parser, name, hidden ? undefined : summary);
  return parser.getCompletion(words);
}

/** The levels that the option --log-level takes (cmd/settings/types.ts, which is above this room). */
const LOG_LEVELS = ['debug', 'info', 'error', 'fatal'];
const SHELLS = ['bash', 'zsh', 'fish'];

function argumentsOf(
  verb: Verb,
  { ids, images }: { readonly ids: () => readonly string[]; readonly images: () => readonly string[] },
): readonly string[] {
  const [name = '']: PositionalDefinition['names'] = VERBS[verb].positionals.names;
  if (name.startsWith('id|')) return ids();
  if (name === 'image|id') return [...ids(), ...images()];
  if (name === 'image' || name === 'image…') return images();
  if (name === 'check') return ['check'];
  if (name === 'verb') return verbEntries().flatMap(([word, { hidden }]) => (hidden ? [] : [word]));
  return name === SHELLS.join('|') ? SHELLS : [];
}

const BASH = `_graft() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do
    printf -v word %q "$word"
    COMPREPLY+=("$word")
  done < <(graft completion --words -- "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
}
complete -o default -F _graft graft
`;

/** For `source`, or for a file `_graft` on the fpath, whose first run also calls the function. */
const ZSH = `#compdef graft
_graft() {
  local -a words_found
  words_found=("\${(@f)$(graft completion --words -- "\${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
  if [[ -n $words_found ]]; then compadd -a words_found; else _files; fi
}
if [[ $funcstack[1] == _graft ]]; then _graft; else compdef _graft graft; fi
`;

const FISH = `function __graft_words
  set -l before (commandline --tokenize --cut-at-cursor --current-process)
  graft completion --words -- $before (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command graft --arguments '(__graft_words)'
`;

/** The completion script of a shell. @throws CLI_BAD_ARGUMENTS for another shell than bash, zsh or fish */
export function completionScript(shell: string | undefined): string {
  if (shell === 'bash') return BASH;
  if (shell === 'zsh') return ZSH;
  if (shell === 'fish') return FISH;
  throw new PluginError('CLI_BAD_ARGUMENTS', { usage: 'completion <bash|zsh|fish>', misplaced: undefined });
}
