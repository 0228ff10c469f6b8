/** The sums over the layers of an exported image, and the losses of its tree. */
import type { Unpacked } from '../layer/tree/types.ts';

export interface TreeTotals {
  readonly layers: number;
  readonly entries: number;
  /** Bytes of the files of all layers, also of those that an upper layer removed. */
  readonly fileBytes: number;
  /** Devices, which no root filesystem of graft has. */
  readonly skippedDevices: number;
  /** Extended attributes that have no meaning outside of the machine that made the layer. */
  readonly droppedXattrs: number;
  /** Entries whose owner the user of this process could not set. */
  readonly lostOwners: number;
  /** Different owners of these, `uid:gid`; not all of very many. */
  readonly lostIds: readonly string[];
  readonly lostSetIdBits: number;
  readonly lostCapabilities: number;
}

export class Totals {
  #layers = 0;
  #entries = 0;
  #fileBytes = 0;
  #skippedDevices = 0;
  #droppedXattrs = 0;
  #lostOwners = 0;
  #lostSetIdBits = 0;
  #lostCapabilities = 0;
  readonly #lostIds = new Set<string>();

  add(layer: Unpacked): void {
    this.#layers += 1;
    this.#entries += layer.entries;
    this.#fileBytes += layer.fileBytes;
    this.#skippedDevices += layer.skippedDevices;
    this.#droppedXattrs += layer.droppedXattrs;
    const { lostOwners: lost } = layer;
    if (lost === undefined) return;
    this.#lostOwners += lost.entries;
    this.#lostSetIdBits += lost.setIdBits;
    this.#lostCapabilities += lost.capabilities;
    for (const ids of lost.ids) this.#lostIds.add(ids);
  }

  get all(): TreeTotals {
    return {
      layers: this.#layers,
      entries: this.#entries,
      fileBytes: this.#fileBytes,
      skippedDevices: this.#skippedDevices,
      droppedXattrs: this.#droppedXattrs,
      lostOwners: this.#lostOwners,
      lostIds: [...this.#lostIds],
      lostSetIdBits: this.#lostSetIdBits,
      lostCapabilities: this.#lostCapabilities,
    };
  }
}
