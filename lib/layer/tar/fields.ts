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
  /** star's format has two times in the last bytes of ustar's prefix. */
  starPrefix: [345, 131],
  starAtime: [476, 12],
  starCtime: [488, 12],
  gnuAtime: [345, 12],
  gnuCtime: [357, 12],
  trailer: [508, 4],
} as const satisfies Record<string, readonly [at: number, length: number]>;

export type Field = readonly [at: number, length: number];

/** The bytes of a field up to the first NUL, one character a byte. */
export function textField(block: Buffer, [at, length]: Field): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end += 1;
  return block.toString('latin1', at, end);
}

/**
 * A number, octal or base-256, as Go's archive/tar reads it; an empty field is 0. Undefined where it is neither, or beyond
 * 64 bits: a reader that guesses disagrees with other readers about where the next header is. Negative only in base-256.
 * Beyond 2^53 the result is near the number, and no safe integer.
 */
export function numberField(block: Buffer, field: Field): number | undefined {
  const [at, length] = field;
  const first = block[at] ?? 0;
  return (first & 0x80) !== 0 ? base256(block, at, length) : octal(block, at, length);
}

/** True for a field that is a number to `numberField`. */
export function isNumber(block: Buffer, field: Field): boolean {
  return numberField(block, field) !== undefined;
}

/** Blanks and NULs go from both ends first, and then what stands behind a NUL: a blank before that NUL is no digit. */
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

/** Two's complement, big-endian, the first bit being the mark. */
function base256(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] ?? 0;
  const negative = (first & 0x40) !== 0;
  let value = BigInt(first & 0x3f);
  for (let i = at + 1; i < at + length; i += 1) value = (value << 8n) | BigInt(block[i] ?? 0);
  if (negative) value -= 1n << BigInt(length * 8 - 2);
  return BigInt.asIntN(64, value) === value ? Number(value) : undefined;
}

/** True when the block's checksum is right, its bytes read as unsigned or, as some old programs did, signed. */
export function checksumHolds(block: Buffer): boolean {
  const [at, length] = FIELD.checksum;
  // Never in base-256.
  const stored = octal(block, at, length);
  // The field itself counts as blanks.
  let sum = length * 0x20;
  for (let i = 0; i < at; i += 1) sum += block[i] as number;
  for (let i = at + length; i < BLOCK; i += 1) sum += block[i] as number;
  if (stored === sum) return true;
  let high = 0;
  for (let i = 0; i < BLOCK; i += 1)
    if ((i < at || i >= at + length) && (block[i] as number) > 127) high += 1;
  return stored === sum - 256 * high;
}

/** True for the magic of ustar and GNU: a header, if perhaps a damaged one. */
export function isUstar(block: Buffer): boolean {
  return block.toString('latin1', FIELD.magic[0], FIELD.magic[0] + 5) === 'ustar';
}

export function isZeroBlock(block: Buffer): boolean {
  for (let i = 0; i < BLOCK; i += 1) if (block[i] !== 0) return false;
  return true;
}
