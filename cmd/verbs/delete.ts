import { PluginError } from '../../lib/base/errors/error.ts';
import { deleteImage } from '../../lib/plugin/delete.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run({ settings, args, log, metrics, out }: VerbContext<'delete'>): Promise<void> {
  const started = performance.now();
  const [argument] = args.positionals;
  if (argument === undefined || argument === '')
    throw new PluginError('CLI_ID_MISSING', { misplaced: undefined });
  const deleted = await deleteImage(settings.store, argument, log);
  if ('id' in deleted) out.text(`Image ${deleted.id} deleted`);
  else if ('notFound' in deleted) out.text(`Image \`${deleted.notFound}\` not found. Skipping delete.`);
  else out.text(`path \`${deleted.outside}\` is outside store path Skipping delete.`);
  metrics.duration('ImageDeletionTime', performance.now() - started);
}
