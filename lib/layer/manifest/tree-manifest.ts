/**
 * The manifest of a layer's tree: `check` compares the disk with it. The file is written while the layer is unpacked,
 * with a JSON value in each line. Names and link targets have one character for each byte, and the file is latin1, so
 * every byte is preserved.
 *
 *   {"format":"graft-tree","version":1}
 *   ["d", path, mode, uid, gid, sec, nsec, xattrs]            a directory; the root is ""
 *   ["f", path, mode, uid, gid, sec, nsec, xattrs, size, content]
 *   ["l", path, mode, uid, gid, sec, nsec, xattrs, target]    a symbolic link
 *   ["p", path, mode, uid, gid, sec, nsec, xattrs]            a FIFO
 *   ["h", path, other]      a hard link: the same inode as `other`, which has an earlier line
 *   ["w", path]             a whiteout
 *   ["o", path]             this directory is opaque
 *   ["end", lines]          shows that the end is not missing
 *
 * `mode` is the low twelve bits, `sec` and `nsec` the modification time. `content` is the xxHash64 of the file's blocks
 * of 64 KiB, each seeded with the hash of the block before it, in hexadecimal. `xattrs` is the xxHash64 of the
 * attributes, `""` for none. Both hashes find damage of the disk, not forgery: the digests of the image protect against
 * forgery.
 *
 * An archive may name a path twice. The unpacker then writes `["x", path, scope]` lines with the scope "tree" or
 * "self": the file at `path` (for "tree" also everything below it) was removed. `compactTreeManifest` removes these
 * lines before any other code reads the file, so that each path has one line, and an "o" line if need be.
 *
 * The file is written by writer.ts and compared by verify-tree.ts.
 */
import type { Timespec } from '../../sys/kernel/files.ts';

export const HEADER = { format: 'graft-tree', version: 1 } as const;

/** Type, path, mode, uid, gid, seconds, nanoseconds, xattrs. */
export type Head<T extends string> = readonly [
  type: T,
  path: string,
  mode: number,
  uid: number,
  gid: number,
  sec: number,
  nsec: number,
  xattrs: string,
];
export type TreeLine =
  | Head<'d' | 'p'>
  | readonly [...Head<'f'>, size: number, content: string]
  | readonly [...Head<'l'>, target: string]
  | readonly ['h', string, string]
  | readonly ['w' | 'o', string]
  | readonly ['x', string, 'tree' | 'self'];
export type EndLine = readonly ['end', number];

export interface LineAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timespec;
  /** Result of `hashXattrs`. */
  readonly xattrs: string;
}
