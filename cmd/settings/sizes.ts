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

/** A document of graft's own settings with sizes in bytes where a key says that it holds bytes. */
export function withBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      const bytes = HOLDS_BYTES.test(key) && typeof member === 'string' ? sizeInBytes(member) : undefined;
      return [key, bytes ?? withBytes(member)];
    }),
  );
}

const HOLDS_BYTES = /(?:^|_)bytes(?:_|$)/;
