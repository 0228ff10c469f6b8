import { isPluginError, PluginError } from '../../lib/base/errors/error.ts';
import type { Verb } from './definitions.ts';
import { type Invocation, knownVerb, readOptions, readStart, readVerb, type VerbTable } from './parse.ts';
import { QUICK_VERBS } from './quick-verbs.ts';

/**
 * Reads the command line. yargs reads the options of verbs that only people call, and makes the suggestion after a misspelt
 * word. For other calls it is not loaded.
 * @param argv without the program's name
 * @param onVerb is told the verb, also of a command line that is wrong after it
 * @throws CLI_* codes
 */
export async function readCommandLine(
  argv: readonly string[],
  onVerb: (verb: Verb) => void = () => {},
): Promise<Invocation> {
  try {
    const start = readStart(argv, readOptions);
    const verbs = await tableFor(start.verb);
    onVerb(knownVerb(start.verb, verbs));
    return readVerb(
      start,
      verbs,
      verbs[start.verb]?.rare ? (await import('./yargs.ts')).readWithYargs : readOptions,
    );
  } catch (error) {
    throw await withSuggestion(error);
  }
}

/** The table of all verbs is loaded for the others alone: it costs a call of Garden 34 page faults (measured). */
async function tableFor(word: string): Promise<VerbTable> {
  if (Object.hasOwn(QUICK_VERBS, word)) return QUICK_VERBS;
  const { GARDEN_VERBS } = await import('./garden-verbs.ts');
  if (Object.hasOwn(GARDEN_VERBS, word)) return GARDEN_VERBS;
  return (await import('./definitions.ts')).VERBS;
}

async function withSuggestion(error: unknown): Promise<unknown> {
  if (isPluginError(error, 'CLI_UNKNOWN_VERB')) {
    const { suggestVerb } = await import('./suggest.ts');
    const suggestion = await suggestVerb(error.subject.verb);
    return new PluginError('CLI_UNKNOWN_VERB', { ...error.subject, suggestion });
  }
  if (isPluginError(error, 'CLI_UNKNOWN_FLAG')) {
    const { verbsWith, suggestFlag } = await import('./suggest.ts');
    const { flag, verb } = error.subject;
    const suggestion = await suggestFlag(flag, verb);
    return new PluginError('CLI_UNKNOWN_FLAG', { flag, verb, suggestion, place: verbsWith(flag, verb) });
  }
  return error;
}
