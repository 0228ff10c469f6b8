/** The limits of one layer, checked as its bytes and entries arrive. */
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { Xattr } from '../tar/entry.ts';
import type { LayerBudget } from './types.ts';

/**
 * Names that stay in memory until the last entry: implied directories, directories with markers, links to names that
 * come later, and names that a later entry takes back. A real layer has thousands at most. Each name counts 64 bytes
 * beside its own length. Several layers are unpacked at once, and each name is in memory three times.
 */
const MAX_REMEMBERED = 8 * MiB;
const PER_NAME = 64;
/**
 * Holes of all sparse files of a layer. Holes take no disk, but a few bytes of archive describe a large hole, and the
 * manifest's hash covers every byte of a file: 4 GiB of zeros take 0.25 to 0.45 s of CPU. A later check reads the holes
 * too: 0.7 s with the file's pages in the cache, 11 s where the kernel had to make them (ext4, two processors, busy).
 */
const MAX_HOLES = 4 * 1024 * MiB;

/**
 * The manifest of the tree has a line for each entry, and for each directory that an entry implies. The line of an
 * honest entry is shorter than the entry in the tar. Names that repeat a long path make much longer lines: an image of
 * 63 KB made 290 MB of lines (measured). Up to this size the manifest is not compared with the tar.
 */
const MANIFEST_FLOOR = 64 * MiB;

/**
 * Looks at names that no entry pays for: in the trees below the layer, one after the other, and on the way through
 * links. 40,000 hard links into lower layers take half of these looks. A look takes up to 15 µs of CPU (measured, on
 * two busy cores), so the looks of a layer end after 15 s at the latest.
 */
export const MAX_LOOKS = 1_000_000;
/**
 * The kernel resolves a path component by component, so each such number of bytes of a path counts as a further look.
 */
const BYTES_PER_LOOK = 32;

/** The part of an image's limits that is left for one of its layers, and the way to stop the work. */
export interface BudgetRest {
  /** How many bytes may be copied from the layers below. Undefined: as many as a tar may have. */
  readonly copyBytes?: number | undefined;
  /** How many looks at names may be taken; undefined: MAX_LOOKS. */
  readonly looks?: number | undefined;
  /** Called in the middle of work that may take long; throws to stop it. */
  readonly checkpoint?: (() => void) | undefined;
}

/**
 * Limit for names and values of all extended attributes. Real layers have some capabilities and labels, kilobytes in
 * all.
 */
const MAX_XATTR_BYTES = 16 * MiB;

/** Disk use of a file: `data` bytes that are not in holes, and `stored` bytes of disk that they take. */
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
  /** Called in the middle of work that may take long; throws to stop it. */
  readonly checkpoint: () => void;
  /** Bytes of disk that data of sparse files takes beyond its own size, since each piece takes whole blocks. */
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
  /** Bytes of files that were copied from lower layers, for links to them. */
  get copiedBytes(): number {
    return this.#copied;
  }
  get entries(): number {
    return this.#entries;
  }
  get looks(): number {
    return this.#looks;
  }
  /** Largest size of a single file: the limit for the whole archive. */
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
   * Charges for a file of a lower layer before it is copied: a link of a few bytes in the archive becomes a whole file
   * on the disk. The holes of the file stay holes in the copy.
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
   * Charges for a sparse file of `size` bytes with its holes: `data` bytes of content that take `stored` bytes of disk.
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

  /** Charges for an entry. Implied directories count as well: one long name makes thousands of them. */
  entry(): void {
    this.checkpoint();
    this.#entries += 1;
    if (this.#entries > this.#limits.entries) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'entries', limit: this.#limits.entries });
    }
  }

  /** Charges for a look at a name: one look, and more for a long path. @throws PluginError LAYER_TOO_LARGE */
  look(path = ''): void {
    this.#count(1 + Math.floor(path.length / BYTES_PER_LOOK));
  }

  /** Charges for a search for a path in memory: only a long path counts. @throws PluginError LAYER_TOO_LARGE */
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

  /** Charges for bytes added to the manifest of the tree. */
  manifest(bytes: number): void {
    this.#manifest += bytes;
    if (this.#manifest > MANIFEST_FLOOR && this.#manifest > this.#out) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of names and paths', limit: MANIFEST_FLOOR });
    }
  }

  /** Charges for the extended attributes of one entry. */
  attributes(xattrs: readonly Xattr[]): void {
    for (const { name, value } of xattrs) this.#xattrs += name.length + value.length;
    if (this.#xattrs > MAX_XATTR_BYTES) {
      throw new PluginError('LAYER_TOO_LARGE', {
        what: 'bytes of extended attributes',
        limit: MAX_XATTR_BYTES,
      });
    }
  }

  /** Charges for a name that must stay in memory. */
  remember(name: string): void {
    this.#remembered += name.length + PER_NAME;
    if (this.#remembered > MAX_REMEMBERED) {
      throw new PluginError('LAYER_TOO_LARGE', { what: 'bytes of names to remember', limit: MAX_REMEMBERED });
    }
  }
}
