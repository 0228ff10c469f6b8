import { imageStats } from '../../lib/plugin/stats.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run({ settings, args, log, progress, out }: VerbContext<'stats'>): Promise<void> {
  const [argument = ''] = args.positionals;
  try {
    const stats = imageStats(settings.store, argument);
    out.json(stats);
    // Garden takes numbers only, so that a person alone is told what the 0 means.
    if (stats.disk_usage.quota_size_bytes === 0)
      progress.note('exclusive_bytes_used is not counted: the root filesystem has no limit');
  } catch (error) {
    // At level debug: Garden asks its first store for the images of the second one too, several times a minute.
    log.debug('find-id-failed', { id: argument, storePath: settings.store });
    throw error;
  }
}
