import type { ByteName } from '../../base/bytes.ts';
import type { DiffId, Digest } from '../../base/digest.ts';
import type { IdMappings } from '../../base/id-mapping.ts';

/** The compression of the blob; `auto` recognises it by the magic bytes. */
export type BlobCompression = 'gzip' | 'zstd' | 'none' | 'auto';

/** Limits for one layer. Exceeding a limit is LAYER_TOO_LARGE, which names the limit. */
export interface LayerBudget {
  /** Size of the uncompressed tar in bytes. */
  readonly tarBytes: number;
  readonly entries: number;
  /** Ratio of uncompressed to compressed bytes. Checked as soon as `ratioFloor` uncompressed bytes were made. */
  readonly ratio: number;
  readonly ratioFloor: number;
  /** Seconds without an input byte or a finished entry, while there are bytes to read. */
  readonly stallSeconds: number;
}

/**
 * A layer to unpack. `quotaBytes` is the part of an inclusive disk limit that is left for the layer's uncompressed
 * bytes; more bytes are LAYER_EXCEEDS_QUOTA.
 */
export interface UnpackRequest {
  /** An empty directory of graft on the store's filesystem, which becomes the root of the layer. Absolute path. */
  readonly target: string;
  /** The file for the tree's manifest, which `check` reads. Absolute path; the file must not exist. */
  readonly manifestPath: string;
  readonly compression: BlobCompression;
  /** The expected values of the blob. Undefined fields are computed but not checked. */
  readonly expected: {
    readonly digest: Digest | undefined;
    readonly diffId: DiffId | undefined;
    readonly size: number | undefined;
  };
  readonly mappings: IdMappings;
  readonly budget: LayerBudget;
  readonly quotaBytes: number | undefined;
  /** Unpack below this directory. Missing components get mode and owner from `parentTree`. */
  readonly base: { readonly directory: string; readonly parentTree: string | undefined } | undefined;
  /**
   * The trees below, topmost first, for a second attempt after LAYER_NEEDS_LOWER. Targets of hard links in these trees
   * are copied up. Entries below a directory that this layer only implies go where a lower symbolic link leads.
   */
  readonly lowers: readonly string[] | undefined;
  /** How many bytes of files in `lowers` may be copied for links to them. Undefined: as many as a tar may have. */
  readonly copyBytes?: number | undefined;
  /** How many looks at names (see the budget) the layer may take. Undefined: as many as any layer. */
  readonly looks?: number | undefined;
  /** The tree is for a publication. Undefined: for an overlay mount of this machine. */
  readonly publication?: Publication | undefined;
  /**
   * Write an EROFS image in place of the tree: `target` stays empty, and no manifest is written. Not together with `base`,
   * `lowers` or `publication`.
   */
  readonly image?: RequestedImage | undefined;
}

export interface RequestedImage {
  /** The file. Absolute path; the file must not exist. */
  readonly path: string;
  /** The layer is all of an image, so its markers hide nothing, and are left out. */
  readonly isWhole: boolean;
}

/** An EROFS image as it was written. */
export interface LayerImageFile {
  readonly bytes: number;
  /** Of the whole file (lib/layer/erofs/image-hash.ts). */
  readonly hash: string;
}

/**
 * A tree that others read. Opaque directories get no `trusted.*` attribute, since only the result names them, and the disk
 * use is not measured. `set`: files get the owners, modes and extended attributes of the image. `record`: only the tree's
 * manifest has these, and the files belong to the caller, who can read, change and remove them without being root. `own`:
 * the files belong to the caller and have all else of the image; the result says what the caller could not set.
 */
export interface Publication {
  readonly attributes: 'set' | 'record' | 'own';
}

/** The losses of a tree of `attributes: 'own'`. */
export interface LostOwners {
  /** Entries that belong to other ids in the image. */
  readonly entries: number;
  /** These ids, `uid:gid`, at most MAX_LOST_IDS of them. */
  readonly ids: readonly string[];
  /** Files that lost a set-id bit, which would give the rights of another user than the image means. */
  readonly setIdBits: number;
  /** Files that lost a capability. */
  readonly capabilities: number;
}

/** Facts about an unpacked layer, all needed for its use in a stack. Names are relative, `''` is the root. */
export interface UnpackResult {
  readonly digest: Digest;
  readonly diffId: DiffId;
  readonly compressedBytes: number;
  readonly tarBytes: number;
  /**
   * Sum of the sizes of the regular files written, which is GrootFS's volume size. Hard links count 0, and overwritten
   * files count again. Files copied from `lowers` count with their extended attributes.
   */
  readonly fileBytes: number;
  readonly entries: number;
  /**
   * Bytes that the tree and its manifest take on the disk: blocks of files, directories and extended attributes. Of an
   * image the bytes of its file that are no holes.
   */
  readonly diskBytes: number;
  /** Undefined for a layer that was written as a tree. */
  readonly image?: LayerImageFile | undefined;
  /** True when the layer has an entry for `/` itself, whose attributes `target` then has. */
  readonly explicitRoot: boolean;
  /**
   * Directories that exist only because an entry lies below them (mode 0755, mapped root, time of that entry). Left out
   * are directories that no lower tree affects: those whited out by this layer, and those below one of its opaque
   * directories.
   */
  readonly impliedDirs: readonly ByteName[];
  /** Directories of this layer that hold a plain whiteout. */
  readonly whiteoutDirs: readonly ByteName[];
  /** Opaque directories of this layer. */
  readonly opaqueDirs: readonly ByteName[];
  readonly skippedDevices: number;
  readonly droppedXattrs: number;
  /** Undefined unless the publication has `attributes: 'own'`. */
  readonly lostOwners?: LostOwners | undefined;
  /**
   * For `attributes: 'own'`: directories that their owner may not read, write or search, with the modes that they must have
   * in the end. In the tree they are open to their owner, since other names still go into them.
   */
  readonly closedDirs?: readonly (readonly [path: ByteName, mode: number])[] | undefined;
  /** True when `lowers` decided a part of the tree: the tree is right only on top of exactly these. */
  readonly dependsOnLower: boolean;
}

/** The result with a further fact for the image that the layer is unpacked for. */
export interface Unpacked extends UnpackResult {
  /** How many looks at names the layer took. */
  readonly looks: number;
}
