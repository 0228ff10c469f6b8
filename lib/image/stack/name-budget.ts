import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { LayerKey } from '../../store/layout/layer-key.ts';
import type { Store } from '../../store/store.ts';

/**
 * Names of all layers of an image that planning has in memory at once, some five times as large there. The largest images
 * that we know of have some hundred kilobytes.
 */
const MAX_NAMES_BYTES = 16 * MiB;

/** By the layers' records, before any of the names is read. @throws IMAGE_TOO_COMPLEX, STORE_DAMAGED */
export function refuseTooManyNames(store: Store, keys: ReadonlySet<LayerKey>): void {
  let bytes = 0;
  for (const key of keys) bytes += store.layers.record(key)?.nameBytes ?? 0;
  if (bytes <= MAX_NAMES_BYTES) return;
  throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'bytes of names', limit: MAX_NAMES_BYTES });
}
