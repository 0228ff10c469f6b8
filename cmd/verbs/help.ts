import { PluginError } from '../../lib/base/errors/error.ts';
import { isVerb } from '../cli/definitions.ts';
import { suggestVerb } from '../cli/suggest.ts';
import { helpText } from '../cli/yargs.ts';
import type { VerbContext } from '../program/verb-context.ts';

/** Help on graft, or on the verb that is named. */
export async function run({ args, out }: VerbContext<'help'>): Promise<void> {
  const [topic] = args.positionals;
  if (topic !== undefined && !isVerb(topic))
    throw new PluginError('CLI_UNKNOWN_VERB', { verb: topic, suggestion: await suggestVerb(topic) });
  out.page(await helpText(topic));
}
