/** The ceilings of one layer, looked at as its bytes and entries come. */
import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import type { LayerBudget } from './types.ts';

/**
 * Names that stay in memory until the last entry: implied directories, those with markers, links to names that come
 * later. A real layer has thousands at most; 64 bytes stand for what a name costs beside its own.
 */
const MAX_REMEMBERED = 64 * MiB;
const PER_NAME = 64;

export class Budget {
  readonly #limits: LayerBudget;
  readonly #quotaBytes: number | undefined;
  #in = 0;
  #out = 0;
  #entries = 0;
  #remembered = 0;

  constructor(limits: LayerBudget, quotaBytes: number | undefined) {
    this.#limits = limits;
    this.#quotaBytes = quotaBytes;
  }

  get compressedBytes(): number {
    return this.#in;
  }
  get tarBytes(): number {
    return this.#out;
  }
  get entries(): number {
    return this.#entries;
  }
  /** No single file can be larger than what the whole archive may be. */
  get maxFileSize(): number {
    return Math.min(this.#limits.tarBytes, Number.MAX_SAFE_INTEGER);
  }

  compressed(bytes: number): void {
    this.#in += bytes;
  }

  /** @throws PluginError LAYER_EXCEEDS_QUOTA, LAYER_TOO_LARGE */
  uncompressed(bytes: number): void {
    this.#out += bytes;
    if (this.#quotaBytes !== undefined && this.#out > this.#quotaBytes) {
      throw new PluginError('LAYER_EXCEEDS_QUOTA', { limit: this.#quotaBytes, actual: this.#out });
    }
    const { tarBytes, ratio, ratioFloor } = this.#limits;
    if (this.#out > tarBytes) throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes', limit: tarBytes });
    if (this.#out > ratioFloor && this.#out > ratio * this.#in) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes for each compressed byte', limit: ratio });
    }
  }

  /** Directories that are only implied count as well: one long name makes thousands. */
  entry(): void {
    this.#entries += 1;
    if (this.#entries > this.#limits.entries) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'entries', limit: this.#limits.entries });
    }
  }

  /** A name that must be kept in memory. */
  remember(name: string): void {
    this.#remembered += name.length + PER_NAME;
    if (this.#remembered > MAX_REMEMBERED) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of names to remember', limit: MAX_REMEMBERED });
    }
  }
}
