import type { ByteName } from '../../base/bytes.ts';
import type { Timespec } from '../../sys/kernel/files.ts';

export interface Xattr {
  /** The name with its namespace: `user.…`, `security.capability`. */
  readonly name: ByteName;
  readonly value: Uint8Array;
}

/** The fields that all entries of a layer have. Names are the raw bytes of the archive. */
interface Common {
  readonly name: ByteName;
  /** The low twelve bits: permissions with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timespec;
  readonly xattrs: readonly Xattr[];
  /** Number of attributes in records of other programs, which this reader does not translate. */
  readonly foreignXattrs: number;
}

export type LayerEntry = Common &
  (
    | {
        readonly kind: 'file';
        /** Size in bytes, with the holes of a sparse file. */
        readonly size: number;
        /** For a sparse file: bytes of data, and bytes that they take on the disk. */
        readonly sparse?: { readonly data: number; readonly stored: number };
      }
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink'; readonly target: ByteName }
    | { readonly kind: 'hardlink'; readonly target: ByteName }
    | { readonly kind: 'fifo' }
    | {
        readonly kind: 'device';
        /** A character device 0:0, which overlayfs takes for a whiteout. */
        readonly isWhiteout: boolean;
      }
  );
