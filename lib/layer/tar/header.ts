/** Makes an entry of a header block and the extended headers before it. */
import type { ByteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_ID } from '../../base/id-mapping.ts';
import { printable } from '../../base/text.ts';
import type { Timespec } from '../../sys/kernel/files.ts';
import type { LayerEntry } from './entry.ts';
import { FIELD, type Field, isNumber, numberField, textField } from './fields.ts';
import { BadHeader, type PaxHeader } from './pax.ts';
import { SparseFile } from './sparse-file.ts';
import { paxForm } from './sparse-map.ts';

/** The values of the extended headers for the entry that follows them. */
export interface Extensions {
  pax: PaxHeader | undefined;
  longName: ByteName | undefined;
  longLink: ByteName | undefined;
}

/** @throws PluginError LAYER_BAD_HEADER, LAYER_UNSUPPORTED_ENTRY */
export function readEntry(block: Buffer, extensions: Extensions): LayerEntry {
  const { pax } = extensions;
  const name = entryName(block, extensions);
  const kind = kindOf(String.fromCharCode(block[FIELD.type[0]] ?? 0), name);
  checkNumbers(block, name);
  const number = (field: 'mode' | 'uid' | 'gid' | 'size', max = Number.MAX_SAFE_INTEGER): number => {
    const value = numberField(block, FIELD[field]) ?? Number.NaN;
    if (!(value >= 0 && value <= max)) bad(name, `${field} is ${value}`);
    return value;
  };
  const common = {
    name,
    mode: number('mode') & 0o7777,
    uid: pax?.uid ?? number('uid', MAX_ID),
    gid: pax?.gid ?? number('gid', MAX_ID),
    mtime: pax?.mtime ?? headerTime(block),
    xattrs: pax?.xattrs ?? [],
    foreignXattrs: pax?.foreignXattrs ?? 0,
  };
  switch (kind) {
    case 'file':
      return { ...common, kind, size: pax?.size ?? number('size') };
    case 'symlink':
    case 'hardlink':
      return { ...common, kind, target: linkTarget(block, extensions) };
    case 'device':
      return { ...common, kind, isWhiteout: isWhiteout(block) };
    // An entry without content has size 0, whatever its size field says: some programs leave a number there. Go's
    // reader, GNU tar's for hard links and Python's all take the next block as a header.
    default:
      return { ...common, kind };
  }
}

/** True for a character device 0:0. Headers before ustar have no device numbers. */
function isWhiteout(block: Buffer): boolean {
  const isCharacter = block[FIELD.type[0]] === '3'.charCodeAt(0);
  return isCharacter && DEVICE_NUMBERS.every((field) => (numberField(block, FIELD[field]) ?? 0) === 0);
}

const NUMBERS = ['mode', 'uid', 'gid', 'size', 'mtime'] as const;
const DEVICE_NUMBERS = ['devmajor', 'devminor'] as const;
const STAR_TIMES = ['starAtime', 'starCtime'] as const;

/**
 * Every numeric field must hold a number, even a field that is not used: Go's reader refuses the header otherwise.
 * @throws PluginError LAYER_BAD_HEADER
 */
export function checkNumbers(block: Buffer, name: string): void {
  const check = (fields: readonly (keyof typeof FIELD)[]): void => {
    for (const field of fields) if (!isNumber(block, FIELD[field])) bad(name, `${field} is no number`);
  };
  check(NUMBERS);
  const ustar = holds(block, FIELD.magic[0], USTAR);
  if (ustar || holds(block, FIELD.magic[0], GNU)) check(DEVICE_NUMBERS);
  if (ustar && holds(block, FIELD.trailer[0], STAR)) check(STAR_TIMES);
}

/** A time in base-256 may be outside the range of every filesystem. The kernel then sets the nearest possible time. */
function headerTime(block: Buffer): Timespec {
  const seconds = numberField(block, FIELD.mtime) ?? 0;
  const most = Number.MAX_SAFE_INTEGER - 1;
  return { sec: Math.max(-most, Math.min(seconds, most)), nsec: 0 };
}

/** Returns true for a header of a sparse file, in any form. */
export function isSparse(block: Buffer, { pax }: Extensions): boolean {
  return block[FIELD.type[0]] === OLD_SPARSE || pax?.sparse !== undefined;
}

/**
 * @param entry the entry of the same header, for which `isSparse` returned true
 * @throws BadHeader; PluginError LAYER_BAD_HEADER, LAYER_UNSUPPORTED_ENTRY
 */
export function sparseFile(block: Buffer, { pax, longName }: Extensions, entry: LayerEntry): SparseFile {
  const old = block[FIELD.type[0]] === OLD_SPARSE;
  if (old && pax?.sparse !== undefined) bad(entry.name, 'a sparse file of two formats');
  if (old && !holds(block, FIELD.magic[0], GNU))
    unsupported(entry.name, 'a sparse file of an unknown format');
  const records = pax?.sparse ?? {};
  // Go takes these for plain files, other readers for sparse ones.
  if (!old && ['none', 'unknown'].includes(paxForm(records)))
    unsupported(entry.name, 'a sparse file of an unknown format');
  if (entry.kind !== 'file') bad(entry.name, 'a sparse file that is no file');
  // The name in the header, or in `path`, is artificial: "GNUSparseFile.0/name".
  const name = records.name === undefined || records.name === '' ? entry.name : records.name;
  if (longName !== undefined && longName !== name) bad(longName, 'two different names for one entry');
  return new SparseFile({ ...entry, name }, pax, old ? block : undefined);
}

const OLD_SPARSE = 'S'.charCodeAt(0);

function kindOf(type: string, name: ByteName): LayerEntry['kind'] {
  switch (type) {
    case '0':
    case '7':
    case 'S':
      return 'file';
    case '\0':
      // Before ustar, a directory was a file whose name ends in a slash.
      return name.endsWith('/') ? 'directory' : 'file';
    case '1':
      return 'hardlink';
    case '2':
      return 'symlink';
    case '3':
    case '4':
      return 'device';
    case '5':
      return 'directory';
    case '6':
      return 'fifo';
    default:
      return unsupported(name, `an entry of type ${JSON.stringify(type)}`);
  }
}

/**
 * The name of an entry. A GNU long name and a PAX path that differ are an error, since programs disagree about which
 * one counts.
 */
function entryName(block: Buffer, { pax, longName }: Extensions): ByteName {
  if (longName !== undefined && pax?.path !== undefined && longName !== pax.path) {
    bad(longName, 'two different names for one entry');
  }
  return longName ?? pax?.path ?? nameOf(block);
}

function linkTarget(block: Buffer, { pax, longLink }: Extensions): ByteName {
  if (longLink !== undefined && pax?.linkpath !== undefined && longLink !== pax.linkpath) {
    bad(longLink, 'two different targets for one link');
  }
  return longLink ?? pax?.linkpath ?? (textField(block, FIELD.link) as ByteName);
}

/** The name in the block itself. */
export function nameOf(block: Buffer): ByteName {
  const name = textField(block, FIELD.name);
  const prefix = block[FIELD.prefix[0]] === 0 ? '' : prefixOf(block);
  return (prefix === '' ? name : `${prefix}/${name}`) as ByteName;
}

function prefixOf(block: Buffer): string {
  if (holds(block, FIELD.magic[0], USTAR)) {
    return textField(block, holds(block, FIELD.trailer[0], STAR) ? FIELD.starPrefix : FIELD.prefix);
  }
  // GNU's format has times in this field. Go wrote the prefix of long names there before version 1.8 (golang/go#12594),
  // also in layers that Docker made at that time. Go still reads such a prefix, where the field holds text and no
  // times.
  if (!holds(block, FIELD.magic[0], GNU)) return '';
  const isTime = (field: Field) => block[field[0]] === 0 || isNumber(block, field);
  const isTimes = [FIELD.gnuAtime, FIELD.gnuCtime].every(isTime);
  const text = isTimes ? '' : textField(block, FIELD.prefix);
  return /^[\x01-\x7f]*$/.test(text) ? text : '';
}

const USTAR = Buffer.from('ustar\0');
const GNU = Buffer.from('ustar  \0');
const STAR = Buffer.from('tar\0');

function holds(block: Buffer, at: number, bytes: Uint8Array): boolean {
  return bytes.every((byte, i) => block[at + i] === byte);
}

export function bad(entry: string, reason: string): never {
  throw new PluginError('LAYER_BAD_HEADER', { entry: shown(entry), reason });
}

/**
 * Runs `read` and turns a BadHeader into a LAYER_BAD_HEADER about the entry, with `where` after the reason.
 * @throws PluginError LAYER_BAD_HEADER
 */
export function about<T>(entry: string, read: () => T, where = ''): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BadHeader) bad(entry, `${error.reason}${where}`);
    throw error;
  }
}

function unsupported(entry: string, kind: string): never {
  throw new PluginError('LAYER_UNSUPPORTED_ENTRY', { entry: shown(entry), kind });
}

/** A name of bytes, printable in an error or a log. */
export function shown(name: string): string {
  return printable(Buffer.from(name, 'latin1'));
}
