/**
 * Extended attributes as they follow an inode: a header, then for each attribute its length, the number of its prefix, the
 * rest of its name, and its value (struct erofs_xattr_entry in fs/erofs/erofs_fs.h). Attributes that several inodes share
 * are a feature that this writer does not use.
 */
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
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
const NONE: Uint8Array = new Uint8Array(0);

type NamedValue = { readonly name: string; readonly value: Uint8Array };

/** @param path of the file, for errors. @throws LAYER_BAD_XATTR for more than an image can hold */
export function encodeXattrs(path: string, xattrs: readonly NamedValue[], max = MAX_XATTR_BODY): Uint8Array {
  return xattrs.reduce((body, xattr) => addXattr(path, body, xattr, max), NONE);
}

/** The attributes with a further one. @throws as `encodeXattrs` */
export function addXattr(
  path: string,
  body: Uint8Array,
  xattr: NamedValue,
  max = MAX_XATTR_BODY,
): Uint8Array {
  const { name, value } = xattr;
  const refuse = (reason: string) =>
    new PluginError('LAYER_BAD_XATTR', { entry: printable(path), xattr: printable(name), reason });
  if (value.length > MAX_VALUE) throw refuse(`an EROFS image has at most ${MAX_VALUE} bytes for a value`);
  const [prefix, index] = prefixOf(name);
  const at = Math.max(body.length, XATTR_HEADER);
  const size = at + sizeOf(name.length - prefix.length + value.length);
  if (size > max) throw refuse(`an EROFS image has at most ${max} bytes for all attributes here`);
  const bytes = Buffer.alloc(size);
  bytes.set(body);
  bytes[at] = name.length - prefix.length;
  bytes[at + 1] = index;
  bytes.writeUInt16LE(value.length, at + 2);
  bytes.write(name.slice(prefix.length), at + ENTRY, 'latin1');
  bytes.set(value, at + ENTRY + name.length - prefix.length);
  return bytes;
}

/** Entries are padded to multiples of 4 (EROFS_XATTR_ALIGN). */
function sizeOf(nameAndValue: number): number {
  return Math.ceil((ENTRY + nameAndValue) / 4) * 4;
}

function prefixOf(name: string): (typeof PREFIXES)[number] {
  const found = PREFIXES.find(([prefix]) => name.startsWith(prefix));
  if (found === undefined) throw new Error(`no attribute of a layer has the name ${printable(name)}`);
  return found;
}
