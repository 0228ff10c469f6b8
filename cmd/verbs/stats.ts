import { imageStats } from '../../lib/plugin/stats.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run({ settings, args, log, out }: VerbContext<'stats'>): Promise<void> {
  const [argument = ''] = args.positionals;
  try {
    out.json(imageStats(settings.store, argument));
  } catch (error) {
    // At level debug: Garden asks its first store for the images of the second one too, several times a minute.
    log.debug('find-id-failed', { id: argument, storePath: settings.store });
    throw error;
  }
}
