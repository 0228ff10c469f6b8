import { PluginError } from '../../lib/base/errors/error.ts';
import { formatReference, parseImageReference } from '../../lib/oci/reference.ts';
import { removeCached } from '../../lib/plugin/remove-cached.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';

export async function run({ settings, args, log, out }: VerbContext<'rmi'>): Promise<void> {
  const store = Store.open(settings.store);
  const [argument = ''] = args.positionals;
  const named = DIGEST.test(argument) ? argument : formatReference(parseImageReference(argument));
  const { images, volumes, freedBytes, left } = await removeCached(store, named, log);
  for (const image of images) out.text(`removed ${image}`);
  out.text(`deleted ${counted(volumes, 'layer')} and freed ${shortBytes(freedBytes)}`);
  const [first] = left;
  if (first === undefined) return;
  const { path, errno } = first;
  throw new PluginError('CLEAN_INCOMPLETE', { store: settings.store, left: left.length, path, errno });
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
