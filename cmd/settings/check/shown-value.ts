import { printable } from '../../../lib/base/text.ts';

/** Characters of a value that a sentence shows. */
const SHOWN = 100;

/** A value of a settings file as a sentence shows it, after `is`. */
export function shownValue(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (value === null || value === undefined) return 'empty';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? JSON.stringify(printable(value).slice(0, SHOWN)) : String(value);
}
