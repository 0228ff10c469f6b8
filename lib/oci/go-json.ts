/**
 * Documents as the programs read them that write and run images: by Go's encoding/json, into structures. A key fits a
 * field whatever its case, and `null` is a field that is missing. A digest must not mean one image here and another
 * there, so graft reads the same, and refuses where Go's answer depends on the order: two keys of an object that differ
 * in case only. The keys of maps (annotations, labels) are data and are left alone.
 */
import { JsonRefused } from './json.ts';

/** What a value is read into. */
export type Shape =
  | { readonly kind: 'structure'; readonly fields: ReadonlyMap<string, Shape> }
  | { readonly kind: 'list'; readonly of: Shape }
  | { readonly kind: 'map'; readonly of: Shape }
  | typeof TEXT
  | typeof ANY;

/** Text, of which `null` in a list or a map is the empty one. */
export const TEXT = { kind: 'text' } as const;
/** Whatever else: numbers, and what graft does not read. */
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
 * The document with the keys that `shape` has for them. What has another form is left for the schema to refuse.
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
    if (folded.has(fold))
      throw new JsonRefused(
        `it has the key ${JSON.stringify(key.slice(0, 60))} twice, in capital and small letters`,
      );
    folded.add(fold);
    // An assignment would set what the object inherits from; no field has this name.
    if (key === '__proto__') continue;
    const name = (fields.has(key) ? key : fieldFor(fold, fields)) ?? key;
    const shape = fields.get(name) ?? ANY;
    // Lists and objects that are `null` the schemas know, and refuse where they must not be.
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

/** What `null` is in a list or a map. */
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

/** Go folds by Unicode's simple rules, by which two letters outside ASCII are ones inside: the Kelvin sign, long s. */
function foldCase(key: string): string {
  return key.toLowerCase().replaceAll('ſ', 's');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
