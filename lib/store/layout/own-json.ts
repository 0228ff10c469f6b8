/**
 * JSON of the store's own files. They are root's, and yet nobody knows what a crash, a bad disk or an older program left
 * in them; and what they quote of an image was chosen by a stranger. So each value is held against its type before it is
 * used, by functions and not by schemas: warm verbs read these files, and need not load what the schemas become.
 */

/** Undefined for what is no JSON; a key `__proto__` is an ordinary key to JSON.parse, and no record has it. */
export function parseOwn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // A RangeError is what a text of a hundred thousand brackets ends in.
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** An object, and no list; values are looked up by own keys only. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** A whole number of bytes or of things. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isOptional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value);
}

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}
