/**
 * The manifest of a layer's tree: what `check` compares the disk with. One JSON value a line, written while the layer
 * is unpacked; names and link targets have one character a byte, and the file is latin1, so every byte survives.
 *
 *   {"format":"graft-tree","version":1}
 *   ["d", path, mode, uid, gid, sec, nsec, xattrs]            a directory; the root is ""
 *   ["f", path, mode, uid, gid, sec, nsec, xattrs, size, content]
 *   ["l", path, mode, uid, gid, sec, nsec, xattrs, target]    a symbolic link
 *   ["p", path, mode, uid, gid, sec, nsec, xattrs]            a FIFO
 *   ["h", path, other]      a hard link: the same inode as `other`, which has a line above
 *   ["w", path]             a whiteout
 *   ["o", path]             this directory is opaque
 *   ["end", lines]          nothing is missing at the end
 *
 * `mode` is the low twelve bits, `sec` and `nsec` the modification time. `content` is the xxHash64 of the file's
 * blocks of 64 KiB, each seeded with the hash before it, in hexadecimal; `xattrs` the xxHash64 of the attributes,
 * `""` for none. Both find decay, not malice: the digests of the image are what malice has to pass.
 *
 * Archives may name a thing twice. The unpacker then writes `["x", path, scope]` lines, scope being "tree" or "self":
 * what stood at `path` (and below it) is gone. `compactTreeManifest` takes these out before anybody else reads the
 * file, so that each path has one line, and an "o" line if need be.
 *
 * Written by tree-manifest-writer.ts, compared by verify-tree.ts.
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
  /** As `hashXattrs` gives it. */
  readonly xattrs: string;
}
