/**
 * PAX extended headers as raw bytes. Values may be capabilities or names in any encoding; decoding them as UTF-8 would
 * corrupt both.
 */
import { type ByteName, byteName } from '../../base/bytes.ts';
import { MAX_ID } from '../../base/id-mapping.ts';
import type { Timespec } from '../../sys/kernel/files.ts';
import type { Xattr } from './entry.ts';

/** Most records in one header. Real headers have fewer than twenty, and with many xattrs a few dozen. */
const MAX_RECORDS = 256;

/** Largest number of seconds that counts as a time. The filesystem's own limit is far lower. */
const MAX_SECONDS = 1e40;

/**
 * A header that cannot be read; the tar reader adds the name of the entry. The reason repeats no bytes of the header:
 * no checksum covers the body of an extended header, so the bytes could come from any file of the machine.
 */
export class BadHeader extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

/** The values of one extended header for the next entry. */
export interface PaxHeader {
  path?: ByteName;
  linkpath?: ByteName;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: Timespec;
  xattrs: Xattr[];
  foreignXattrs: number;
  /** Records of GNU tar about a sparse file, where there are any. */
  sparse?: PaxSparse;
}

/**
 * Records whose keys begin with `GNU.sparse.`, as text. In version 0.0, `map` is made of the records `offset` and
 * `numbytes`.
 */
export interface PaxSparse {
  major?: string;
  minor?: string;
  name?: ByteName;
  size?: string;
  realsize?: string;
  numblocks?: string;
  map?: string;
}

const SPARSE = 'GNU.sparse.';
const XATTR = 'SCHILY.xattr.';
/** Prefixes under which other programs store attributes, as text or base64. Such attributes are dropped and counted. */
const FOREIGN = ['SCHILY.acl.', 'LIBARCHIVE.xattr.', 'RHT.security.'];

export function parsePax(body: Uint8Array): PaxHeader {
  const header: PaxHeader = { xattrs: [], foreignXattrs: 0 };
  const pairs: string[] = [];
  const xattrs = new Map<string, Uint8Array>();
  for (const [key, value] of records(body)) {
    if (key.startsWith(XATTR)) addXattr(xattrs, key.slice(XATTR.length), value);
    else if (FOREIGN.some((prefix) => key.startsWith(prefix))) header.foreignXattrs += 1;
    else if (key.startsWith(SPARSE)) header.sparse = sparseRecord(header.sparse, pairs, key, value);
    else applyRecord(header, key, value);
  }
  if (pairs.length > 0) header.sparse = { ...header.sparse, map: pairs.join(',') };
  header.xattrs = [...xattrs].map(([name, value]) => ({ name: name as ByteName, value }));
  return header;
}

const SPARSE_KEYS = new Set(['major', 'minor', 'name', 'size', 'realsize', 'numblocks', 'map']);

/** Adds a record to `sparse`. In version 0.0, adds half of a pair to `pairs`. */
function sparseRecord(
  sparse: PaxSparse | undefined,
  pairs: string[],
  key: string,
  value: Uint8Array,
): PaxSparse {
  const name = key.slice(SPARSE.length);
  const text = byteName(value);
  if (name === 'offset' || name === 'numbytes') {
    if ((name === 'offset') !== (pairs.length % 2 === 0) || text.includes(','))
      throw new BadHeader('a sparse map that is out of order');
    pairs.push(text);
    return sparse ?? {};
  }
  if (name === 'name' && value.includes(0)) throw new BadHeader('NUL in the name of a sparse file');
  return SPARSE_KEYS.has(name) ? { ...sparse, [name]: text } : (sparse ?? {});
}

/**
 * A global header may contain only comments (`git archive` writes its commit there): any other record would change
 * later entries.
 */
export function checkGlobalPax(body: Uint8Array): void {
  for (const [key] of records(body)) {
    if (key !== 'comment') throw new BadHeader('a global header sets more than a comment');
  }
}

function addXattr(xattrs: Map<string, Uint8Array>, name: string, value: Uint8Array): void {
  if (name === '' || name.includes('\0')) throw new BadHeader('an extended attribute has a bad name');
  // A copy, since the archive's chunk is reused for the next bytes.
  xattrs.set(name, value.slice());
}

/** Applies one record. An empty value cancels the record, and then the field of the main header counts (POSIX pax). */
function applyRecord(header: PaxHeader, key: string, value: Uint8Array): void {
  switch (key) {
    case 'path':
    case 'linkpath':
      if (value.includes(0)) throw new BadHeader(`NUL in ${key}`);
      if (value.length === 0) delete header[key];
      else header[key] = byteName(value);
      return;
    case 'uname':
    case 'gname':
      if (value.includes(0)) throw new BadHeader(`NUL in ${key}`);
      return;
    case 'size':
    case 'uid':
    case 'gid':
      if (value.length === 0) delete header[key];
      else header[key] = integer(key, value, key === 'size' ? Number.MAX_SAFE_INTEGER : MAX_ID);
      return;
    case 'mtime':
      if (value.length === 0) delete header.mtime;
      else header.mtime = time(key, value);
      return;
    // These records are not used, but every reader refuses a header with an invalid one.
    case 'atime':
    case 'ctime':
      if (value.length > 0) time(key, value);
      return;
    default:
  }
}

const PAIR_KEYS = new Set([`${SPARSE}offset`, `${SPARSE}numbytes`]);

/** The records of a header: `LENGTH KEY=VALUE\n`. LENGTH is decimal and counts its own digits too. */
function* records(body: Uint8Array): Generator<[string, Uint8Array]> {
  let at = 0;
  for (let count = 0; at < body.length; ) {
    if (count === MAX_RECORDS) throw new BadHeader(`more than ${MAX_RECORDS} PAX records`);
    const space = body.indexOf(0x20, at);
    if (space < 0 || space === at || space - at > 20) throw new BadHeader('a PAX record without a length');
    const length = recordLength(body, at, space);
    const end = at + length;
    if (end > body.length || end <= space + 1 || body[end - 1] !== 0x0a)
      throw new BadHeader('a PAX record is cut');
    const equals = body.indexOf(0x3d, space + 1);
    if (equals <= space + 1 || equals >= end - 1) throw new BadHeader('a PAX record without a key or value');
    const key = byteName(body.subarray(space + 1, equals));
    if (key.includes('\0')) throw new BadHeader('NUL in the key of a PAX record');
    // Version 0.0 of sparse files has two records for each piece of data, so they do not count.
    if (!PAIR_KEYS.has(key)) count += 1;
    yield [key, body.subarray(equals + 1, end - 1)];
    at = end;
  }
}

function recordLength(body: Uint8Array, from: number, to: number): number {
  let length = 0;
  for (let i = from; i < to; i += 1) {
    const digit = (body[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) throw new BadHeader('the length of a PAX record is no number');
    length = length * 10 + digit;
  }
  return length;
}

function integer(key: string, value: Uint8Array, max: number): number {
  const number = decimal(byteName(value));
  if (number === undefined || number < 0 || number > max)
    throw new BadHeader(`PAX ${key} is no number from 0 to ${max}`);
  return number;
}

/**
 * A decimal number as Go's ParseInt reads it: a sign and leading zeros are allowed, and nothing else.
 * @returns undefined for any other text, and for numbers beyond 2^53
 */
export function decimal(text: string): number | undefined {
  const number = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  // Turns "-0" into 0.
  return Number.isSafeInteger(number) ? number + 0 : undefined;
}

/** Decimal seconds with a fraction of any length, rounded down (towards the past) to nanoseconds. */
function time(key: string, value: Uint8Array): Timespec {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(byteName(value));
  const whole = Number(match?.[2] ?? Number.NaN);
  if (match === null || whole > MAX_SECONDS) throw new BadHeader(`PAX ${key} is no time`);
  const seconds = Math.min(whole, Number.MAX_SAFE_INTEGER - 1);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return { sec: seconds, nsec: nanoseconds };
  return nanoseconds === 0 ? { sec: -seconds, nsec: 0 } : { sec: -seconds - 1, nsec: 1e9 - nanoseconds };
}
