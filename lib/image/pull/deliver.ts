import { PluginError } from '../../base/errors/error.ts';
import type { Store } from '../../store/store.ts';
import type { Admission } from '../source/admission.ts';
import type { FetchedLayer } from './fetch-layer.ts';

/**
 * Renames delivered layers into place. For a layer that the store has already, only the grant is kept.
 * @throws LAYER_DIFFID_MISMATCH when the store's layer of that name has other content, which an invented digest can
 * lead to. As after every failure, no stage is left then.
 */
export function publishDelivered(store: Store, admission: Admission, layers: readonly FetchedLayer[]): void {
  try {
    for (const { record } of layers) {
      const known = store.layers.has(record.key) ? store.layers.record(record.key) : undefined;
      if (known === undefined || known.diffId === record.diffId) continue;
      throw new PluginError('LAYER_DIFFID_MISMATCH', { expected: known.diffId, actual: record.diffId });
    }
  } catch (error) {
    for (const { staged } of layers) store.layers.discard(staged);
    throw error;
  }
  if (layers.length > 0) store.layers.publish(layers);
  for (const { record } of layers) admission.received(record.key);
}
