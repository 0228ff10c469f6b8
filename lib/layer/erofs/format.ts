/**
 * The parts of the EROFS format that an uncompressed image has. Everything is little endian. Sources: the kernel's
 * Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h, whose names stand beside the constants. An image that has
 * none of the optional features can be mounted since Linux 5.4.
 */
import { S } from '../../sys/kernel/stat.ts';

/** Size of a block. The kernel takes it since the beginning; others need Linux 6.4 and pages of that size. */
export const BLOCK = 4096;
/** EROFS_SLOTSIZE: an inode starts at a multiple of this, and its number is its address divided by this. */
export const SLOT = 32;
/** Size of struct erofs_inode_extended. */
export const INODE = 64;
/** EROFS_SUPER_OFFSET, and the size of struct erofs_super_block. */
const SUPER_AT = 1024;
const SUPER = 128;
/**
 * The root inode follows the superblock: its number has 16 bits (`root_nid`), so the inode has to lie in the first 2 MiB,
 * and block 0 is the only block whose place is known before the end.
 */
export const ROOT_AT = SUPER_AT + SUPER;

/** EROFS_SUPER_MAGIC_V1. */
const MAGIC = 0xe0f5e1e2;
/** EROFS_FEATURE_COMPAT_SB_CHKSUM and _MTIME: block 0 has a checksum; times of inodes are modification times. */
const COMPATIBLE_FEATURES = 0x1 | 0x2;
/** Base 2 logarithm of BLOCK (`blkszbits`). */
const BLOCK_BITS = 12;
/** Fields of struct erofs_super_block by their offsets. */
const SB = {
  magic: 0,
  checksum: 4,
  compatible: 8,
  blockBits: 12,
  rootNid: 14,
  inodes: 16,
  blocks: 36,
  uuid: 48,
} as const;

/** Where content lies (EROFS_INODE_FLAT_PLAIN, EROFS_INODE_FLAT_INLINE): blocks alone, or the last part behind the inode. */
export const LAYOUT = { plain: 0, inline: 2 } as const;
/** EROFS_INODE_LAYOUT_EXTENDED: 64 bytes, with 32 bits for each id and a time of its own. */
const EXTENDED = 1;
/** Fields of struct erofs_inode_extended by their offsets. */
const FIELD = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  size: 8,
  /** Block address of the content, or the number of a device. */
  address: 16,
  /** Number for stat(2) of 32-bit programs. */
  ino: 20,
  uid: 24,
  gid: 28,
  seconds: 32,
  nanoseconds: 40,
  links: 44,
} as const;
export const LINKS_AT = FIELD.links;

/** EROFS_FT_*, which are those of the kernel's fs_types.h. */
export const FILE_TYPE = { file: 1, directory: 2, character: 3, fifo: 5, symlink: 7 } as const;
export type FileType = (typeof FILE_TYPE)[keyof typeof FILE_TYPE];
const MODE_OF: Readonly<Record<FileType, number>> = {
  [FILE_TYPE.file]: S.IFREG,
  [FILE_TYPE.directory]: S.IFDIR,
  [FILE_TYPE.character]: S.IFCHR,
  [FILE_TYPE.fifo]: S.IFIFO,
  [FILE_TYPE.symlink]: S.IFLNK,
};

export interface Attributes {
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: { readonly sec: number; readonly nsec: number };
  /** The encoded attributes (`encodeXattrs`). */
  readonly xattrs: Uint8Array;
}

export interface Inode extends Attributes {
  readonly type: FileType;
  /** Bytes of content. */
  readonly size: number;
  readonly layout: (typeof LAYOUT)[keyof typeof LAYOUT];
  /** First block of the content; 0 where there is none. Devices have the number 0:0, a whiteout's, here too. */
  readonly block: number;
  readonly links: number;
  readonly ino: number;
}

const TWO_32 = 2 ** 32;

/** Writes an inode with its extended attributes. @returns the offset behind them, where an inline end of content starts */
export function writeInode(to: Uint8Array, at: number, inode: Inode): number {
  const view = new DataView(to.buffer, to.byteOffset + at, INODE);
  view.setUint16(FIELD.format, EXTENDED | (inode.layout << 1), true);
  view.setUint16(FIELD.xattrCount, xattrCount(inode.xattrs.length), true);
  view.setUint16(FIELD.mode, MODE_OF[inode.type] | inode.mode, true);
  view.setUint32(FIELD.size, inode.size % TWO_32, true);
  view.setUint32(FIELD.size + 4, Math.floor(inode.size / TWO_32), true);
  view.setUint32(FIELD.address, inode.block, true);
  view.setUint32(FIELD.ino, inode.ino, true);
  view.setUint32(FIELD.uid, inode.uid, true);
  view.setUint32(FIELD.gid, inode.gid, true);
  // Seconds have 64 bits and a sign; both halves are the two's complement.
  view.setInt32(FIELD.seconds + 4, Math.floor(inode.mtime.sec / TWO_32), true);
  view.setUint32(FIELD.seconds, inode.mtime.sec - Math.floor(inode.mtime.sec / TWO_32) * TWO_32, true);
  view.setUint32(FIELD.nanoseconds, inode.mtime.nsec, true);
  view.setUint32(FIELD.links, inode.links, true);
  to.set(inode.xattrs, at + INODE);
  return at + INODE + inode.xattrs.length;
}

/** Size of struct erofs_xattr_ibody_header: what stands before the attributes of an inode. */
export const XATTR_HEADER = 12;

/** `i_xattr_icount`: 0 without attributes, else one and the number of 4-byte units behind the header (erofs.rst). */
function xattrCount(bytes: number): number {
  return bytes === 0 ? 0 : (bytes - XATTR_HEADER) / 4 + 1;
}
/** Most bytes that `i_xattr_icount` (16 bits) counts. */
export const MAX_XATTR_BODY = XATTR_HEADER + (0xffff - 1) * 4;

/** Writes the superblock into block 0, whose other bytes are complete. */
export function writeSuperblock(
  first: Uint8Array,
  { inodes, blocks, uuid }: { inodes: number; blocks: number; uuid: Uint8Array },
): void {
  const view = new DataView(first.buffer, first.byteOffset + SUPER_AT, SUPER);
  view.setUint32(SB.magic, MAGIC, true);
  view.setUint32(SB.compatible, COMPATIBLE_FEATURES, true);
  view.setUint8(SB.blockBits, BLOCK_BITS);
  view.setUint16(SB.rootNid, ROOT_AT / SLOT, true);
  view.setUint32(SB.inodes, inodes, true);
  view.setUint32(SB.blocks, blocks, true);
  first.set(uuid, SUPER_AT + SB.uuid);
  view.setUint32(SB.checksum, crc32c(first.subarray(SUPER_AT, BLOCK)), true);
}

/** CRC-32C (Castagnoli) as erofs_superblock_csum_verify computes it: without the inversion at the end. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
  }
  return crc >>> 0;
}
