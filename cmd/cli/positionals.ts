import { PluginError } from '../../lib/base/errors/error.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';
import { usageLine, type VerbDefinition } from './options.ts';

/** @throws CLI_ID_MISSING, CLI_BAD_ARGUMENTS */
export function checkPositionals(verb: string, definition: VerbDefinition, given: readonly string[]): void {
  const { count } = definition.positionals;
  if (count === 'ignored') return;
  if (typeof count === 'number' ? given.length === count : count.includes(given.length)) return;
  const misplaced = given.find((word) => isOptionOf(definition, word));
  if (verb === 'delete') throw new PluginError('CLI_ID_MISSING', { misplaced });
  // GrootFS names the store here instead of the options.
  const usage = verb === 'init-store' ? 'init-store --store <path>' : usageLine(verb, definition);
  throw new PluginError('CLI_BAD_ARGUMENTS', { usage, misplaced });
}

function isOptionOf({ options }: VerbDefinition, word: string): boolean {
  const name = /^--?([^-=][^=]*)/.exec(word)?.[1];
  return name !== undefined && (Object.hasOwn(options, name) || Object.hasOwn(GLOBAL_OPTIONS, name));
}
