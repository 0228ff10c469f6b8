import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { LayerRecord } from '../../store/records/layer-record.ts';

/**
 * The largest sum of name bytes of all layers of an image. Planning has them in memory at the same time, where they
 * take about five times as much. The largest images that we know have some hundred kilobytes.
 */
const MAX_NAMES_BYTES = 16 * MiB;

export class NameBudget {
  #bytes = 0;

  /** Counts the names of a layer by its record, before they are read. @throws IMAGE_TOO_COMPLEX */
  add({ nameBytes }: Pick<LayerRecord, 'nameBytes'>): void {
    this.#bytes += nameBytes;
    if (this.#bytes <= MAX_NAMES_BYTES) return;
    throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'bytes of names', limit: MAX_NAMES_BYTES });
  }
}
