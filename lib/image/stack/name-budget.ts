import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { LayerRecord } from '../../store/records/layer-record.ts';

/**
 * Names of all layers of an image that planning has in memory at once, some five times as large there. The largest images
 * that we know of have some hundred kilobytes.
 */
const MAX_NAMES_BYTES = 16 * MiB;

export class NameBudget {
  #bytes = 0;

  /** By a layer's record, before its names are read. @throws IMAGE_TOO_COMPLEX */
  add({ nameBytes }: Pick<LayerRecord, 'nameBytes'>): void {
    this.#bytes += nameBytes;
    if (this.#bytes <= MAX_NAMES_BYTES) return;
    throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'bytes of names', limit: MAX_NAMES_BYTES });
  }
}
