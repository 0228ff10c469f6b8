/**
 * JSON of the store's own files. Only root writes them, but a crash, a bad disk or an older program may have damaged
 * them, and the values that they copy from an image are hostile. So each value's type is checked before use.
 * Functions check, not schemas: warm verbs read these files, and loading compiled schemas would slow these verbs.
 */

/**
 * Parses JSON; undefined for a text that is none. JSON.parse gives `__proto__` as an ordinary key, and no record has
 * such a key.
 */
export function parseOwn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // JSON.parse throws a RangeError for a text of a hundred thousand brackets.
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** True for an object that is not an array. Callers look values up by own keys only. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** True for a whole number that is not negative: bytes, or a count. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isOptional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value);
}

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}
