/** The ceilings of one layer, looked at as its bytes and entries come. */
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { Xattr } from '../tar/entry.ts';
import type { LayerBudget } from './types.ts';

/**
 * Names that stay in memory until the last entry: implied directories, those with markers, links to names that come
 * later, names that a later entry takes back. A real layer has thousands at most. 64 bytes stand for what a name costs
 * beside its own; several layers are unpacked at once, and each name lies in memory three times over.
 */
const MAX_REMEMBERED = 8 * MiB;
const PER_NAME = 64;
/**
 * Holes of all sparse files of a layer. They take no disk, but the manifest's hash goes over every byte of a file, out of
 * a few bytes of archive: 4 GiB of zeros are 0.25 to 0.45 s of CPU here. A later check reads them too: 0.7 s with the
 * file's pages in the cache, 11 s where the kernel had to make them (ext4, two processors, busy).
 */
const MAX_HOLES = 4 * 1024 * MiB;

/**
 * The manifest of the tree has a line for each entry, and for each directory that an entry implies. The line of an
 * honest entry is shorter than the entry in the tar. Names that repeat a long path make much longer ones: 63 KB of
 * image made 290 MB of lines (measured). Up to this size nobody compares.
 */
const MANIFEST_FLOOR = 64 * MiB;

/**
 * Looks at names that no entry pays for: in the trees below the layer, one after the other, and on the way through links.
 * 40,000 hard links into lower layers take half of it. A look takes up to 15 µs of CPU (measured, on two busy cores), so
 * that this ends after 15 s at the latest.
 */
export const MAX_LOOKS = 1_000_000;
/** The kernel walks a path component by component: so many bytes of it cost a look more. */
const BYTES_PER_LOOK = 32;

/** What an image leaves for one of its layers, and how the work is stopped. */
export interface BudgetRest {
  /** How much may be copied from the layers below; undefined: as much as a tar may have. */
  readonly copyBytes?: number | undefined;
  /** How many looks at names may be taken; undefined: MAX_LOOKS. */
  readonly looks?: number | undefined;
  /** Called in the middle of work that may be long; throws to end it. */
  readonly checkpoint?: (() => void) | undefined;
}

/** Names and values of all extended attributes. Real layers have some capabilities and labels, kilobytes together. */
const MAX_XATTR_BYTES = 16 * MiB;

/** Of a file: `data` bytes that are no holes, and `stored` bytes of disk that they take. */
interface DiskUse {
  readonly data: number;
  readonly stored: number;
}

export class Budget {
  readonly #limits: LayerBudget;
  readonly #quotaBytes: number | undefined;
  readonly #copyBytes: number;
  #in = 0;
  #out = 0;
  #entries = 0;
  #remembered = 0;
  #copied = 0;
  #manifest = 0;
  #xattrs = 0;
  #holes = 0;
  #looks = 0;
  readonly #maxLooks: number;
  /** Called in the middle of work that may be long; throws to end it. */
  readonly checkpoint: () => void;
  /** What data that is scattered in sparse files takes of the disk beyond its own bytes. */
  #scattered = 0;

  constructor(limits: LayerBudget, quotaBytes: number | undefined, rest: BudgetRest = {}) {
    this.#limits = limits;
    this.#copyBytes = Math.min(rest.copyBytes ?? limits.tarBytes, limits.tarBytes);
    this.#maxLooks = Math.min(rest.looks ?? MAX_LOOKS, MAX_LOOKS);
    this.checkpoint = rest.checkpoint ?? (() => {});
    this.#quotaBytes = quotaBytes;
  }

  get compressedBytes(): number {
    return this.#in;
  }
  get tarBytes(): number {
    return this.#out;
  }
  /** Of files of lower layers, for links to them. */
  get copiedBytes(): number {
    return this.#copied;
  }
  get entries(): number {
    return this.#entries;
  }
  get looks(): number {
    return this.#looks;
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
    this.#checkQuota();
    const { tarBytes, ratio, ratioFloor } = this.#limits;
    if (this.#out + this.#scattered > tarBytes)
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes', limit: tarBytes });
    if (this.#out > ratioFloor && this.#out > ratio * this.#in) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes for each compressed byte', limit: ratio });
    }
  }

  /**
   * A file of a lower layer is about to be copied: a link of a few bytes in the archive, a whole file on the disk. Its
   * holes stay holes.
   * @throws PluginError LAYER_EXCEEDS_QUOTA, LAYER_TOO_LARGE
   */
  copy(size: number, { data, stored }: DiskUse): void {
    this.#copied += stored;
    this.#checkQuota();
    this.#hole(size - data);
    if (this.#copied > this.#copyBytes) {
      const limit = this.#copyBytes;
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of lower layers that it links to', limit });
    }
  }

  #checkQuota(): void {
    const actual = this.#out + this.#scattered + this.#copied;
    if (this.#quotaBytes !== undefined && actual > this.#quotaBytes)
      throw new PluginError('LAYER_EXCEEDS_QUOTA', { limit: this.#quotaBytes, actual });
  }

  /**
   * A sparse file of `size` bytes with its holes: `data` bytes of content that take `stored` bytes of disk.
   * @throws PluginError LAYER_EXCEEDS_QUOTA, LAYER_TOO_LARGE
   */
  sparse(size: number, { data, stored }: DiskUse): void {
    this.#hole(size - data);
    this.#scattered += Math.max(0, stored - data);
    this.uncompressed(0);
  }

  #hole(bytes: number): void {
    this.#holes += bytes;
    if (this.#holes > MAX_HOLES) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of holes in sparse files', limit: MAX_HOLES });
    }
  }

  /** Directories that are only implied count as well: one long name makes thousands. */
  entry(): void {
    this.checkpoint();
    this.#entries += 1;
    if (this.#entries > this.#limits.entries) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'entries', limit: this.#limits.entries });
    }
  }

  /** A name is looked at, once by itself and once for each part of a long path. @throws PluginError LAYER_TOO_LARGE */
  look(path = ''): void {
    this.#count(1 + Math.floor(path.length / BYTES_PER_LOOK));
  }

  /** A path is looked for in memory: only a long one costs anything. @throws PluginError LAYER_TOO_LARGE */
  recall(path: string): void {
    this.#count(Math.floor(path.length / BYTES_PER_LOOK));
  }

  #count(looks: number): void {
    this.checkpoint();
    this.#looks += looks;
    if (this.#looks > this.#maxLooks) {
      throw new PluginError('LAYER_TOO_LARGE', {
        what: 'looks at names of other layers',
        limit: this.#maxLooks,
      });
    }
  }

  /** Bytes that the manifest of the tree has grown by. */
  manifest(bytes: number): void {
    this.#manifest += bytes;
    if (this.#manifest > MANIFEST_FLOOR && this.#manifest > this.#out) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of names and paths', limit: MANIFEST_FLOOR });
    }
  }

  /** Extended attributes of one entry. */
  attributes(xattrs: readonly Xattr[]): void {
    for (const { name, value } of xattrs) this.#xattrs += name.length + value.length;
    if (this.#xattrs > MAX_XATTR_BYTES) {
      throw new PluginError('LAYER_TOO_LARGE', {
        what: 'bytes of extended attributes',
        limit: MAX_XATTR_BYTES,
      });
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
