import { PluginError } from '../../lib/base/errors/error.ts';
import { GLOBAL_OPTIONS, usageOf, VERBS, type Verb } from './definitions.ts';
import type { PositionalDefinition } from './options.ts';

/** @throws CLI_ID_MISSING, CLI_BAD_ARGUMENTS */
export function checkPositionals(verb: Verb, given: readonly string[]): void {
  const { count }: PositionalDefinition = VERBS[verb].positionals;
  if (count === 'ignored') return;
  if (typeof count === 'number' ? given.length === count : count.includes(given.length)) return;
  const misplaced = given.find((word) => isOptionOf(verb, word));
  if (verb === 'delete') throw new PluginError('CLI_ID_MISSING', { misplaced });
  // GrootFS names the store here instead of the options.
  const usage = verb === 'init-store' ? 'init-store --store <path>' : usageOf(verb);
  throw new PluginError('CLI_BAD_ARGUMENTS', { usage, misplaced });
}

function isOptionOf(verb: Verb, word: string): boolean {
  const name = /^--?([^-=][^=]*)/.exec(word)?.[1];
  return (
    name !== undefined && (Object.hasOwn(VERBS[verb].options, name) || Object.hasOwn(GLOBAL_OPTIONS, name))
  );
}
