/**
 * Writes the header of a tar entry: POSIX ustar, and a PAX extended header before it where ustar has no room. Names and
 * values of attributes are written as the bytes that they are. The same entry gives the same bytes each time.
 */

import { isUtf8 as utf8IsValid } from 'node:buffer';
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { Timespec } from '../../sys/kernel/files.ts';
import type { Xattr } from './entry.ts';
import { BLOCK, FIELD, type Field } from './fields.ts';

export interface WrittenEntry {
  /** The path below the root without a slash at either end; `''` is the root. */
  readonly path: ByteName;
  readonly kind: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo';
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timespec;
  readonly xattrs: readonly Xattr[];
  /** Bytes of content, which follow the header; only files have some. */
  readonly size: number;
  /** Target of a symbolic link as it is, or path of the file that a hard link names. */
  readonly target: ByteName;
}

const TYPE = { file: '0', hardlink: '1', symlink: '2', directory: '5', fifo: '6' } as const;
/** Largest numbers of octal fields with 8 and 12 bytes, the last of them a NUL. */
const OCTAL_7 = 0o7777777;
const OCTAL_11 = 0o77777777777;

/** The two blocks of zeros at the end of an archive. */
export const END_OF_ARCHIVE = new Uint8Array(2 * BLOCK);

/** Bytes of zeros after content of `size` bytes, up to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** All header blocks of an entry. */
export function tarHeader(entry: WrittenEntry): Uint8Array {
  const records = recordsOf(entry);
  const own = block(entry);
  if (records.length === 0) return own;
  const body = Buffer.concat(records);
  const extended = {
    ...entry,
    path: 'PaxHeaders/0' as ByteName,
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { sec: 0, nsec: 0 },
    size: body.length,
    target: '' as ByteName,
  } as const;
  return Buffer.concat([block(extended, 'x'), body, Buffer.alloc(paddingOf(body.length)), own]);
}

/** The records that the entry needs beside its ustar header, sorted by their keys. */
function recordsOf(entry: WrittenEntry): Uint8Array[] {
  const records: [key: string, value: Uint8Array][] = [];
  const add = (key: string, value: string) => records.push([key, Buffer.from(value, 'latin1')]);
  const { uid, gid, size, mtime, target, xattrs } = entry;
  if (gid > OCTAL_7) add('gid', String(gid));
  // Without this record, bsdtar refuses names that are not UTF-8 (POSIX pax).
  if (!isUtf8(nameOf(entry)) || !isUtf8(target)) add('hdrcharset', 'BINARY');
  if (!fitsField(target, FIELD.link)) add('linkpath', target);
  if (mtime.nsec !== 0 || mtime.sec < 0 || mtime.sec > OCTAL_11) add('mtime', decimal(mtime));
  if (splitName(nameOf(entry)) === undefined) add('path', nameOf(entry));
  if (size > OCTAL_11) add('size', String(size));
  if (uid > OCTAL_7) add('uid', String(uid));
  const named = [...xattrs].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, value } of named) records.push([`SCHILY.xattr.${name}`, value]);
  return records.map(([key, value]) => record(key, value));
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too (POSIX pax). */
function record(key: string, value: Uint8Array): Uint8Array {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
}

/** Seconds with their fraction. A time before 1970 has a negative second and a fraction that counts forwards. */
function decimal({ sec, nsec }: Timespec): string {
  if (nsec === 0) return String(sec);
  const back = sec < 0;
  const whole = back ? -(sec + 1) : sec;
  const fraction = (back ? 1_000_000_000 - nsec : nsec).toString().padStart(9, '0').replace(/0+$/, '');
  return `${back ? '-' : ''}${whole}.${fraction}`;
}

function nameOf({ path, kind }: WrittenEntry): string {
  if (path === '') return './';
  return kind === 'directory' ? `${path}/` : path;
}

function isUtf8(text: string): boolean {
  return isAscii(text) || utf8IsValid(bytesOf(text as ByteName));
}

function isAscii(text: string): boolean {
  return !/[^\x01-\x7f]/.test(text);
}

function fitsField(text: string, [, length]: Field): boolean {
  return text.length <= length && isAscii(text);
}

/** The name in the fields `prefix` and `name`; undefined where ustar has no room for it. */
function splitName(name: string): [prefix: string, name: string] | undefined {
  if (!isAscii(name)) return undefined;
  const room = FIELD.name[1];
  if (name.length <= room) return ['', name];
  if (name.length > room + 1 + FIELD.prefix[1]) return undefined;
  // The rest after the slash must not be empty, and a directory's name ends in a slash.
  const slash = name.lastIndexOf('/', Math.min(FIELD.prefix[1], name.length - 2));
  const rest = name.length - slash - 1;
  return slash > 0 && rest <= room ? [name.slice(0, slash), name.slice(slash + 1)] : undefined;
}

function block(entry: WrittenEntry, type: string = TYPE[entry.kind]): Buffer {
  const header = Buffer.alloc(BLOCK);
  // Where a record has the value, programs that know no PAX find a cut one here.
  const cut = (text: string, [, length]: Field) => text.slice(0, length).replace(/[^\x20-\x7e]/g, '_');
  const [prefix, name] = splitName(nameOf(entry)) ?? ['', cut(nameOf(entry), FIELD.name)];
  const target = fitsField(entry.target, FIELD.link) ? entry.target : cut(entry.target, FIELD.link);
  text(header, FIELD.name, name);
  octal(header, FIELD.mode, entry.mode);
  octal(header, FIELD.uid, entry.uid > OCTAL_7 ? 0 : entry.uid);
  octal(header, FIELD.gid, entry.gid > OCTAL_7 ? 0 : entry.gid);
  octal(header, FIELD.size, entry.size > OCTAL_11 ? 0 : entry.size);
  octal(header, FIELD.mtime, Math.min(Math.max(entry.mtime.sec, 0), OCTAL_11));
  text(header, FIELD.type, type);
  text(header, FIELD.link, target);
  text(header, FIELD.magic, 'ustar\x0000');
  octal(header, FIELD.devmajor, 0);
  octal(header, FIELD.devminor, 0);
  text(header, FIELD.prefix, prefix);
  return summed(header);
}

/** Sets the checksum: the sum of all bytes, with blanks in the field itself. */
function summed(header: Buffer): Buffer {
  const [at, length] = FIELD.checksum;
  header.fill(0x20, at, at + length);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, at, 'latin1');
  return header;
}

function text(header: Buffer, [at, length]: Field, value: string): void {
  header.set(bytesOf(value.slice(0, length) as ByteName), at);
}

function octal(header: Buffer, [at, length]: Field, value: number): void {
  header.write(value.toString(8).padStart(length - 1, '0'), at, length - 1, 'latin1');
}
