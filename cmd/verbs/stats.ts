import { imageStats } from '../../lib/plugin/stats.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run({ settings, args, out }: VerbContext<'stats'>): Promise<void> {
  out.json(imageStats(settings.store, args.positionals[0] ?? ''));
}
