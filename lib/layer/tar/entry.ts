import type { ByteName } from '../../base/bytes.ts';
import type { Timespec } from '../../sys/kernel/files.ts';

export interface Xattr {
  /** With its namespace: `user.…`, `security.capability`. */
  readonly name: ByteName;
  readonly value: Uint8Array;
}

/** What all entries of a layer have. Names are raw, as the archive has them. */
interface Common {
  readonly name: ByteName;
  /** The low twelve bits: permissions with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timespec;
  readonly xattrs: readonly Xattr[];
  /** Attributes that another program's records hold and this reader does not translate. */
  readonly foreignXattrs: number;
}

export type LayerEntry = Common &
  (
    | {
        readonly kind: 'file';
        /** With the holes of a sparse file. */
        readonly size: number;
        /** Of a sparse file: bytes of data, and bytes of disk that they take. */
        readonly sparse?: { readonly data: number; readonly stored: number };
      }
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink'; readonly target: ByteName }
    | { readonly kind: 'hardlink'; readonly target: ByteName }
    | { readonly kind: 'fifo' }
    | { readonly kind: 'device' }
  );
