/** Texts of booleans, integers and lists, as Go's strconv and urfave/cli read them for GrootFS. */

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
 * strconv.ParseInt(text, 0, 64): decimal, 0x, 0b, 0o, a leading 0 for octal, underscores between digits.
 * Counts of bytes are numbers here, exact up to 2^53 − 1 (8 PiB); what is larger is refused, never rounded.
 */
export function parseInteger(text: string): ParsedInteger {
  const exact = DECIMAL.test(text) ? BigInt(text.replace('+', '')) : parseUnusual(text);
  if (exact === undefined) return { reason: 'parse error' };
  const value = Number(exact);
  return Number.isSafeInteger(value) ? { value } : { reason: 'value out of range' };
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

/** `a,b` is two values; blanks around them are dropped, and so are empty ones. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
