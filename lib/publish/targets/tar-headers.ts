/**
 * Headers of GNU tar, whose long names are bytes of any kind. libarchive converts the names of PAX headers from UTF-8 to
 * the locale of its process, which fails for names that are no UTF-8, and for all others in the locale C.
 */

const BLOCK = 512;
/** Numbers beyond octal digits are written in base 256 (tar(5)). */
const BASE_256 = 0x80;

type TarType = 'file' | 'hardlink' | 'symlink' | 'char' | 'directory' | 'fifo';
const TYPES: Readonly<Record<TarType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  directory: '5',
  fifo: '6',
};

export interface TarMember {
  readonly type: TarType;
  /** Bytes, without a slash at the end. */
  readonly name: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds. */
  readonly mtime: number;
  /** Of a file; 0 for all others. */
  readonly size: number;
  /** Target of a link. */
  readonly link?: Uint8Array;
}

/** The blocks before the content of a member. */
export function tarHeader(member: TarMember): Buffer {
  const name = member.type === 'directory' ? Buffer.concat([member.name, SLASH]) : Buffer.from(member.name);
  const link = Buffer.from(member.link ?? '');
  const parts: Buffer[] = [];
  if (name.length > NAME_BYTES) parts.push(longName('L', name));
  if (link.length > NAME_BYTES) parts.push(longName('K', link));
  parts.push(block(TYPES[member.type], name, link, member));
  return Buffer.concat(parts);
}
const SLASH = Buffer.from('/');
const NAME_BYTES = 100;

/** The zeros after content of so many bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** Two blocks of zeros. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

function longName(type: 'L' | 'K', name: Buffer): Buffer {
  const content = Buffer.concat([name, Buffer.alloc(1)]);
  const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 0, size: content.length };
  const header = block(type, Buffer.from('././@LongLink'), Buffer.alloc(0), attributes);
  return Buffer.concat([header, content, tarPadding(content.length)]);
}

function block(
  type: string,
  name: Buffer,
  link: Buffer,
  { mode, uid, gid, mtime, size }: Pick<TarMember, 'mode' | 'uid' | 'gid' | 'mtime' | 'size'>,
): Buffer {
  const header = Buffer.alloc(BLOCK);
  name.copy(header, 0, 0, NAME_BYTES);
  number(header, 100, 8, mode & 0o7777);
  number(header, 108, 8, uid);
  number(header, 116, 8, gid);
  number(header, 124, 12, size);
  number(header, 136, 12, mtime);
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  link.copy(header, 157, 0, NAME_BYTES);
  header.write('ustar  \0', 257, 'latin1');
  number(header, 329, 8, 0);
  number(header, 337, 8, 0);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function number(header: Buffer, at: number, length: number, value: number): void {
  if (value >= 0 && value < 8 ** (length - 1)) {
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
    return;
  }
  let rest = BigInt.asUintN(length * 8, BigInt(value));
  for (let i = at + length - 1; i >= at; i -= 1) {
    header[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  header[at] = ((header[at] ?? 0) & (BASE_256 - 1)) | BASE_256;
}
