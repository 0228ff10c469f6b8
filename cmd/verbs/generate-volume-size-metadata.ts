import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';

/**
 * Checks that every layer's record can be read. BOSH runs this verb before Garden starts, since older stores of GrootFS
 * have no sizes of layers. graft records the size of a layer when it unpacks it, so nothing has to be measured.
 */
export async function run({ settings }: VerbContext<'generate-volume-size-metadata'>): Promise<void> {
  const store = Store.open(settings.store);
  for (const key of store.layers.list()) store.layers.record(key);
}
