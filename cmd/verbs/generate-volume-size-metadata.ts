import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';

/**
 * BOSH runs this before Garden starts: GrootFS's older stores lacked the sizes of their layers. graft records a
 * layer's size when it unpacks it, so all there is to do is to see that every record can be read.
 */
export async function run({ settings }: VerbContext<'generate-volume-size-metadata'>): Promise<void> {
  const store = Store.open(settings.store);
  for (const key of store.layers.list()) store.layers.record(key);
}
