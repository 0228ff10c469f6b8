import { PluginError } from '../../lib/base/errors/error.ts';
import { type Deleted, deleteImage } from '../../lib/plugin/delete.ts';
import { tellLayers } from '../../lib/plugin/metrics/store-metrics.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run(context: VerbContext<'delete'>): Promise<void> {
  const { settings, args, log, metrics } = context;
  const started = performance.now();
  const [argument] = args.positionals;
  if (argument === undefined || argument === '')
    throw new PluginError('CLI_ID_MISSING', { misplaced: undefined });
  // As GrootFS: also of a delete that fails, and not of one that has nothing to delete.
  const tell = () => {
    metrics.duration('ImageDeletionTime', performance.now() - started);
    tellLayers(metrics, settings.store, log);
  };
  try {
    const deleted = await deleteImage(settings.store, argument, log);
    if ('id' in deleted) tell();
    answer(context, argument, deleted);
  } catch (error) {
    tell();
    throw error;
  }
}

function answer({ settings, log, out }: VerbContext<'delete'>, argument: string, deleted: Deleted): void {
  if ('id' in deleted) {
    out.text(`Image ${deleted.id} deleted`);
    return;
  }
  const reason =
    'notFound' in deleted
      ? `Image \`${deleted.notFound}\` not found.`
      : `path \`${deleted.outside}\` is outside store path`;
  log.debug('id-not-found-skipping', { id: argument, storePath: settings.store, errorMessage: reason });
  out.text(`${reason} Skipping delete.`);
}
