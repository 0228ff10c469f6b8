import { listImages } from '../../lib/plugin/list.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run({ settings, args, out }: VerbContext<'list'>): Promise<void> {
  const images = listImages(settings.store);
  if (args.options.json === true) {
    out.jsonList(images.values().map(({ id, path, record }) => ({ id, path, ...record() })));
    return;
  }
  if (images.length === 0) out.text('Store empty');
  for (const { path } of images) out.text(path);
}
