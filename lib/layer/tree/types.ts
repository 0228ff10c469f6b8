import type { ByteName } from '../../base/bytes.ts';
import type { DiffId, Digest } from '../../base/digest.ts';
import type { IdMappings } from '../../base/id-mapping.ts';

/** How the blob is packed; `auto` looks at the magic bytes. */
export type BlobCompression = 'gzip' | 'zstd' | 'none' | 'auto';

/** Ceilings for one layer; every one of them ends in a LAYER_TOO_LARGE that names it. */
export interface LayerBudget {
  /** Bytes of the uncompressed tar. */
  readonly tarBytes: number;
  readonly entries: number;
  /** Uncompressed to compressed, looked at once `ratioFloor` bytes came out. */
  readonly ratio: number;
  readonly ratioFloor: number;
  /** Seconds without a byte in or an entry out, while there are bytes to read. */
  readonly stallSeconds: number;
}

/** What an inclusive disk limit leaves for this layer's uncompressed bytes: LAYER_EXCEEDS_QUOTA over it. */
export interface UnpackRequest {
  /** An empty directory of ours on the store's filesystem; the layer's root. Absolute. */
  readonly target: string;
  /** Where the tree's manifest is written: a line an entry, for `check`. Absolute, must not exist. */
  readonly manifestPath: string;
  readonly compression: BlobCompression;
  /** What the blob must be; undefined fields are not checked but still computed. */
  readonly expected: {
    readonly digest: Digest | undefined;
    readonly diffId: DiffId | undefined;
    readonly size: number | undefined;
  };
  readonly mappings: IdMappings;
  readonly budget: LayerBudget;
  readonly quotaBytes: number | undefined;
  /** Unpack below this directory; missing components copy mode and owner from `parentTree`. */
  readonly base: { readonly directory: string; readonly parentTree: string | undefined } | undefined;
  /**
   * The trees below, topmost first, once a first attempt ended in LAYER_NEEDS_LOWER: hard links into them are
   * copied up, and entries below a directory this layer only implies go where a lower symbolic link leads.
   */
  readonly lowers: readonly string[] | undefined;
  /** How many bytes of files in `lowers` may be copied for links to them; undefined: as many as a tar may have. */
  readonly copyBytes?: number | undefined;
  /** How many looks at names the layer may take, as the budget counts them; undefined: as many as any layer. */
  readonly looks?: number | undefined;
}

/** What came out, all of it needed to place the layer in a stack. Names are relative, `''` is the root. */
export interface UnpackResult {
  readonly digest: Digest;
  readonly diffId: DiffId;
  readonly compressedBytes: number;
  readonly tarBytes: number;
  /**
   * Sum of the regular files written, GrootFS's volume size (links count 0, overwritten files count again). Files that
   * were copied from `lowers` count with their extended attributes.
   */
  readonly fileBytes: number;
  readonly entries: number;
  /** What the tree and its manifest take on the disk: blocks of files, directories and extended attributes. */
  readonly diskBytes: number;
  /** The layer has an entry for `/` itself: its attributes are on `target`. */
  readonly explicitRoot: boolean;
  /**
   * Directories that exist only because an entry lies below them (0755, mapped root, time of that entry). Left out
   * are those that a lower tree has no say in: whited out by this layer, or below one of its opaque directories.
   */
  readonly impliedDirs: readonly ByteName[];
  /** Directories of this layer that hold a plain whiteout. */
  readonly whiteoutDirs: readonly ByteName[];
  /** Opaque directories of this layer. */
  readonly opaqueDirs: readonly ByteName[];
  readonly skippedDevices: number;
  readonly droppedXattrs: number;
  /** True when `lowers` were used: the tree is right on top of exactly these. */
  readonly dependsOnLower: boolean;
}

/** The same with what only the image that the layer is unpacked for wants to know. */
export interface Unpacked extends UnpackResult {
  /** How many looks at names the layer took. */
  readonly looks: number;
}
