/** Reads booleans, integers and lists as GrootFS does with Go's strconv and urfave/cli. */

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** strconv.ParseBool; undefined where that fails. */
export function parseBoolean(text: string): boolean | undefined {
  return TRUE.has(text) ? true : FALSE.has(text) ? false : undefined;
}

const DECIMAL = /^[+-]?(?:0|[1-9][0-9]{0,18})$/;
const PREFIXED = /^([+-]?)0(?:([xX])_?([0-9a-fA-F_]+)|([bB])_?([01_]+)|[oO]?_?([0-7_]+))$/;
const UNDERSCORED = /^[+-]?[1-9][0-9_]*$/;

export type ParsedInteger =
  | { readonly value: number }
  | { readonly reason: 'parse error' | 'value out of range' };

/**
 * strconv.ParseInt(text, 0, 64): decimal, 0x, 0b, 0o, a leading 0 for octal, underscores between digits. An int64
 * becomes a number by `heldBytes`; a larger integer is out of range.
 */
export function parseInteger(text: string): ParsedInteger {
  const exact = DECIMAL.test(text) ? BigInt(text.replace('+', '')) : parseUnusual(text);
  if (exact === undefined) return { reason: 'parse error' };
  const isInt64 = exact >= -INT64_MAX - 1n && exact <= INT64_MAX;
  return isInt64 ? { value: heldBytes(exact) } : { reason: 'value out of range' };
}

export const INT64_MAX = 2n ** 63n - 1n;

/** 8 PiB less a block. Up to it a number is exact, also after XFS has rounded it up to its blocks. */
const HELD_AT_MOST = 2 ** 53 - 4096;

/**
 * A number of bytes. An integer that a number cannot hold exactly is more than any store has. GrootFS accepts it, so graft
 * does too, and uses 8 PiB less a block instead.
 */
export function heldBytes(exact: bigint): number {
  const value = Number(exact);
  if (Number.isSafeInteger(value)) return value;
  return value < 0 ? -HELD_AT_MOST : HELD_AT_MOST;
}

function parseUnusual(text: string): bigint | undefined {
  if (/__|_$/.test(text)) return undefined;
  if (UNDERSCORED.test(text)) return BigInt(text.replace(/[_+]/g, ''));
  const match = PREFIXED.exec(text);
  if (!match) return undefined;
  const [, sign, hex, hexDigits, binary, binaryDigits, octalDigits] = match;
  const [prefix, digits] = hex ? ['0x', hexDigits] : binary ? ['0b', binaryDigits] : ['0o', octalDigits];
  const magnitude = BigInt(`${prefix}${(digits ?? '').replaceAll('_', '')}`);
  return sign === '-' ? -magnitude : magnitude;
}

/** The values of `a,b`. Blanks around values and empty values are dropped. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
