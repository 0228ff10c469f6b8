/** The fields of a tar header block (POSIX ustar, with GNU's base-256 numbers). Pure functions over bytes. */

export const BLOCK = 512;

/** Offsets and lengths of the fields (tar(5), POSIX.1-2017 pax "ustar Interchange Format"). */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 155],
  /** The format of star has two times in the last bytes of ustar's prefix. */
  starPrefix: [345, 131],
  starAtime: [476, 12],
  starCtime: [488, 12],
  gnuAtime: [345, 12],
  gnuCtime: [357, 12],
  trailer: [508, 4],
} as const satisfies Record<string, readonly [at: number, length: number]>;

export type Field = readonly [at: number, length: number];

/** The bytes of a field up to the first NUL, one character for each byte. */
export function textField(block: Buffer, [at, length]: Field): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end += 1;
  return block.toString('latin1', at, end);
}

/**
 * A number, octal or base-256, read as in Go's archive/tar; an empty field is 0. Undefined where the field is neither,
 * or the number has more than 64 bits: readers that guess a size differ about where the next header is. Only base-256
 * numbers may be negative. A number above 2^53 is rounded, and is then no safe integer.
 */
export function numberField(block: Buffer, field: Field): number | undefined {
  const [at, length] = field;
  const first = block[at] ?? 0;
  return (first & 0x80) !== 0 ? base256(block, at, length) : octal(block, at, length);
}

/** Returns true for a field that `numberField` can read. */
export function isNumber(block: Buffer, field: Field): boolean {
  return numberField(block, field) !== undefined;
}

/**
 * An octal number. Blanks and NULs are cut off at both ends first, and then everything after the first NUL: a blank
 * before that NUL is no digit and makes the field invalid.
 */
function octal(block: Buffer, at: number, length: number): number | undefined {
  let i = at;
  let end = at + length;
  while (i < end && isBlank(block[i])) i += 1;
  while (end > i && isBlank(block[end - 1])) end -= 1;
  let value = 0;
  for (; i < end && block[i] !== 0; i += 1) {
    const digit = (block[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  // Twelve octal digits fit well below 2^53.
  return value;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0;
}

/** A base-256 number: two's complement, big-endian; the first bit is the mark of the format. */
function base256(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] ?? 0;
  const negative = (first & 0x40) !== 0;
  let value = BigInt(first & 0x3f);
  for (let i = at + 1; i < at + length; i += 1) value = (value << 8n) | BigInt(block[i] ?? 0);
  if (negative) value -= 1n << BigInt(length * 8 - 2);
  return BigInt.asIntN(64, value) === value ? Number(value) : undefined;
}

/**
 * Returns true when the block's checksum is right. The sum takes bytes as unsigned or, as in some old programs, as
 * signed.
 */
export function checksumHolds(block: Buffer): boolean {
  const [at, length] = FIELD.checksum;
  // The checksum is never in base-256.
  const stored = octal(block, at, length);
  // The bytes of the checksum field count as blanks.
  let sum = length * 0x20;
  for (let i = 0; i < at; i += 1) sum += block[i] as number;
  for (let i = at + length; i < BLOCK; i += 1) sum += block[i] as number;
  if (stored === sum) return true;
  let high = 0;
  for (let i = 0; i < BLOCK; i += 1)
    if ((i < at || i >= at + length) && (block[i] as number) > 127) high += 1;
  return stored === sum - 256 * high;
}

/** Returns true for the magic of ustar and GNU tar: the block is a header, although perhaps a damaged one. */
export function isUstar(block: Buffer): boolean {
  return block.toString('latin1', FIELD.magic[0], FIELD.magic[0] + 5) === 'ustar';
}

export function isZeroBlock(block: Buffer): boolean {
  for (let i = 0; i < BLOCK; i += 1) if (block[i] !== 0) return false;
  return true;
}
