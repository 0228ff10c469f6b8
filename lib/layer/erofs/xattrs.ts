/**
 * Extended attributes as they follow an inode: a header, then for each attribute its length, the number of its prefix, the
 * rest of its name, and its value (struct erofs_xattr_entry in fs/erofs/erofs_fs.h). Attributes that several inodes share
 * are a feature that this writer does not use.
 */
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import type { Xattr } from '../tar/entry.ts';
import { MAX_XATTR_BODY, XATTR_HEADER } from './format.ts';

/** EROFS_XATTR_INDEX_*. The prefix of an ACL is its whole name. */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];
/** Size of struct erofs_xattr_entry before the name: lengths of name (8 bits) and value (16 bits), and the prefix. */
const ENTRY = 4;
const MAX_VALUE = 0xffff;
const NONE = new Uint8Array(0);

/** @param path of the file, for errors. @throws LAYER_BAD_XATTR for more than an image can hold */
export function encodeXattrs(path: string, xattrs: readonly Xattr[], max = MAX_XATTR_BODY): Uint8Array {
  if (xattrs.length === 0) return NONE;
  const refuse = (name: string, reason: string) =>
    new PluginError('LAYER_BAD_XATTR', { entry: printable(path), xattr: printable(name), reason });
  let size = XATTR_HEADER;
  for (const { name, value } of xattrs) {
    if (value.length > MAX_VALUE)
      throw refuse(name, `an EROFS image has at most ${MAX_VALUE} bytes for a value`);
    size += sizeOf(name, value);
    if (size > max) throw refuse(name, `an EROFS image has at most ${max} bytes for all attributes here`);
  }
  const bytes = Buffer.alloc(size);
  let at = XATTR_HEADER;
  for (const { name, value } of xattrs) {
    const [prefix, index] = prefixOf(name);
    bytes[at] = name.length - prefix.length;
    bytes[at + 1] = index;
    bytes.writeUInt16LE(value.length, at + 2);
    bytes.write(name.slice(prefix.length), at + ENTRY, 'latin1');
    bytes.set(value, at + ENTRY + name.length - prefix.length);
    at += sizeOf(name, value);
  }
  return bytes;
}

/** Entries are padded to multiples of 4 (EROFS_XATTR_ALIGN). */
function sizeOf(name: string, value: Uint8Array): number {
  const size = ENTRY + name.length - prefixOf(name)[0].length + value.length;
  return size + ((4 - (size % 4)) % 4);
}

function prefixOf(name: string): (typeof PREFIXES)[number] {
  const found = PREFIXES.find(([prefix]) => name.startsWith(prefix));
  if (found === undefined) throw new Error(`no attribute of a layer has the name ${printable(name)}`);
  return found;
}
