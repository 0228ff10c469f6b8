/** Errors of a layer's bytes. The thrower has cut and escaped all names (`printable`). */
export interface LayerErrors {
  /** A name leaves the layer by `..`. */
  LAYER_PATH_ESCAPE: { entry: string };
  /** An entry replaces the root of the layer by something that is not a directory. */
  LAYER_ROOT_REPLACED: { entry: string };
  LAYER_LINK_LOOP: { entry: string };
  LAYER_NAME_TOO_LONG: { entry: string; limit: number };
  LAYER_BAD_HEADER: { entry: string; reason: string };
  /** The first block is no tar header. `found`: the format that the first bytes show, if they show one. */
  LAYER_NOT_A_TAR: { found: ForeignFormat | undefined };
  LAYER_TRUNCATED: { reason: string };
  /** The target of a hard link exists neither in this layer nor in a lower one. */
  LAYER_BAD_HARDLINK: { entry: string; target: string };
  LAYER_BAD_WHITEOUT: { entry: string };
  LAYER_UNSUPPORTED_ENTRY: { entry: string; kind: string };
  LAYER_UNMAPPED_ID: { entry: string; kind: 'uid' | 'gid'; id: number; mappings: string };
  LAYER_BAD_XATTR: { entry: string; xattr: string; reason: string };
  LAYER_TOO_LARGE: { what: string; limit: number };
  LAYER_STALLED: { seconds: number };
  LAYER_BAD_COMPRESSION: { kind: string; reason: string };
  LAYER_SIZE_MISMATCH: { expected: number; actual: number; when: 'reported' | 'actual' };
  LAYER_DIGEST_MISMATCH: { expected: string; actual: string };
  LAYER_DIFFID_MISMATCH: { expected: string; actual: string };
  /** The bytes unpacked so far exceed the rest of an inclusive disk limit. */
  LAYER_EXCEEDS_QUOTA: { limit: number; actual: number };
  LAYER_BASE_DIRECTORY: { directory: string; reason: string };
  /** The layer cannot be unpacked alone: an entry links into a lower layer, or lies below a symlink of a lower layer. */
  LAYER_NEEDS_LOWER: { entry: string; target: string };
}

/** Formats that are recognised by their first bytes (lib/layer/tar/foreign-format.ts). */
export type ForeignFormat =
  | 'gzip'
  | 'zstd'
  | 'xz'
  | 'lzma'
  | 'bzip2'
  | 'lz4'
  | 'lzip'
  | 'lzop'
  | 'compress'
  | 'zip'
  | '7z'
  | 'rar'
  | 'cpio'
  | 'ar'
  | 'rpm'
  | 'squashfs'
  | 'qcow2'
  | 'HTML'
  | 'JSON'
  | 'text';
