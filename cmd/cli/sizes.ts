/** Sizes with units: `10M`, `8GiB`. A number alone is bytes. */

const POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };
const SIZE = /^(\d{1,16}(?:\.\d{1,6})?) ?([kmgtp])(?:ib)?$/i;

/** The bytes of a size with a unit, 1024 for each step; undefined for any other text, and for a part of a byte. */
export function sizeInBytes(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * 1024 ** (POWERS[(match[2] ?? '').toLowerCase()] ?? 0);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
