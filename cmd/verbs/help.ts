import { PluginError } from '../../lib/base/errors/error.ts';
import { isVerb } from '../cli/definitions.ts';
import { suggestVerb } from '../cli/suggest.ts';
import { helpText } from '../cli/yargs.ts';
import type { VerbContext } from '../program/verb-context.ts';

/** Prints the help of graft or of a verb. */
export async function run({ args, out, width }: VerbContext<'help'>): Promise<void> {
  const [topic] = args.positionals;
  if (topic !== undefined && !isVerb(topic))
    throw new PluginError('CLI_UNKNOWN_VERB', { verb: topic, suggestion: await suggestVerb(topic) });
  out.page(await helpText(topic, width));
}
