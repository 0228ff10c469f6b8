/**
 * Documents of images, read as Go's encoding/json reads them into structures: a key fits a field whatever its case, and
 * `null` means that the field is missing. Programs in Go write and run images, and a digest must not mean another image
 * here than there. graft refuses two keys of an object that differ in case only, since Go's answer then depends on their
 * order. The keys of maps (annotations, labels) are data and stay unchanged.
 */
import { JsonRefused } from './json.ts';

/** The type that a value is read into. */
export type Shape =
  | { readonly kind: 'structure'; readonly fields: ReadonlyMap<string, Shape> }
  | { readonly kind: 'list'; readonly of: Shape }
  | { readonly kind: 'map'; readonly of: Shape }
  | typeof TEXT
  | typeof ANY;

/** A string. `null` in a list or a map of strings is read as the empty string. */
export const TEXT = { kind: 'text' } as const;
/** Any other value: numbers, and values that graft does not read. */
export const ANY = { kind: 'any' } as const;

export function structure(fields: Readonly<Record<string, Shape>>): Shape {
  return { kind: 'structure', fields: new Map(Object.entries(fields)) };
}

export function list(of: Shape): Shape {
  return { kind: 'list', of };
}

export function map(of: Shape): Shape {
  return { kind: 'map', of };
}

/**
 * The document with the spelling of keys that `shape` has. A value of another form stays, and the schema refuses it.
 * @param value as `parseJson` gives it
 * @throws JsonRefused
 */
export function asGoReads(value: unknown, shape: Shape): unknown {
  switch (shape.kind) {
    case 'structure':
      return isObject(value) ? readStructure(value, shape.fields) : value;
    case 'list':
      return Array.isArray(value)
        ? value.map((element) => (element === null ? zero(shape.of) : asGoReads(element, shape.of)))
        : value;
    case 'map':
      return isObject(value) ? readMap(value, shape.of) : value;
    default:
      return value;
  }
}

function readStructure(value: Record<string, unknown>, fields: ReadonlyMap<string, Shape>): unknown {
  const read: Record<string, unknown> = {};
  const folded = new Set<string>();
  for (const [key, content] of Object.entries(value)) {
    const fold = foldCase(key);
    // Not which: the document may be any file of the machine.
    if (folded.has(fold)) throw new JsonRefused('it has a key twice, in capital and small letters');
    folded.add(fold);
    // An assignment to this key would replace the object's prototype. No field has this name.
    if (key === '__proto__') continue;
    const name = (fields.has(key) ? key : fieldFor(fold, fields)) ?? key;
    const shape = fields.get(name) ?? ANY;
    // The schemas decide where a list or an object may be `null`.
    if (content === null && (shape.kind === 'text' || shape.kind === 'any')) continue;
    read[name] = asGoReads(content, shape);
  }
  return read;
}

function fieldFor(fold: string, fields: ReadonlyMap<string, Shape>): string | undefined {
  for (const name of fields.keys()) if (foldCase(name) === fold) return name;
  return undefined;
}

function readMap(value: Record<string, unknown>, of: Shape): unknown {
  const entries = Object.entries(value).map(([key, content]): [string, unknown] => [
    key,
    content === null ? zero(of) : asGoReads(content, of),
  ]);
  return Object.fromEntries(entries);
}

/** Go's zero value, which `null` stands for in a list or a map. */
function zero(shape: Shape): unknown {
  switch (shape.kind) {
    case 'text':
      return '';
    case 'structure':
      return {};
    default:
      return null;
  }
}

/** Go uses Unicode's simple case folding, which maps two letters to ASCII letters: the Kelvin sign and the long s. */
function foldCase(key: string): string {
  return key.toLowerCase().replaceAll('ſ', 's');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
