/**
 * Finds every fault of a settings document by its JSON schema, and says it in words: the dotted key, what was given, what is
 * allowed. The generated validators decide whether a document is valid, and stop at the first fault; this file is loaded
 * when they have refused one.
 */
import { printable } from '../../../lib/base/text.ts';
import cvmfs from '../../../lib/cvmfs/settings.schema.json';
import publisher from '../../../lib/publisher/settings.schema.json';
import registries from '../../../lib/registry/settings.schema.json';
import trust from '../../../lib/trust/settings.schema.json';
import extra from '../extra.schema.json';
import { type KeyPath, nameOf } from './lines.ts';
import { nearest } from './near.ts';
import type { Schema } from './schema.ts';
import { inWords } from './schema-words.ts';
import { shownValue } from './shown-value.ts';

export interface Fault {
  readonly path: KeyPath;
  /** Follows the key: `is "x"; it must be true or false`. */
  readonly words: string;
}

export const ROOTS: Readonly<Record<string, Schema>> = {
  isRegistrySettings: registries as Schema,
  isCvmfsSettings: cvmfs as Schema,
  isTrustSettings: trust as Schema,
  isPublisherSettings: publisher as Schema,
};

/** All faults of a file of graft's own settings; none for a valid document. */
export function settingFaults(document: unknown): Fault[] {
  return faults(extra as Schema, document, [], extra as Schema);
}

/** A fault as the reason of an error: `metrics.file is 5; it must be an absolute path`. */
export function faultInWords({ path, words }: Fault): string {
  return `${path.length === 0 ? 'the file' : printable(nameOf(path))} ${words}`;
}

function faults(given: Schema, value: unknown, path: KeyPath, root: Schema): Fault[] {
  const { schema, root: below } = resolve(given, root);
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [wrong(schema, value, path)];
  if (!hasType(schema, value)) return [wrong(schema, value, path)];
  if (typeof value === 'string' || typeof value === 'number')
    return fits(schema, value) ? [] : [wrong(schema, value, path)];
  if (Array.isArray(value)) return listFaults(schema, value, path, below);
  if (typeof value !== 'object' || value === null) return [];
  return mappingFaults(schema, value as Record<string, unknown>, path, below);
}

function resolve(schema: Schema, root: Schema): { schema: Schema; root: Schema } {
  const { $ref } = schema;
  if ($ref === undefined) return { schema, root };
  const named = ROOTS[$ref];
  if (named !== undefined) return { schema: named, root: named };
  const definition = root.definitions?.[$ref.slice('#/definitions/'.length)];
  if (definition === undefined) throw new Error(`the schema has no ${$ref}`);
  return { schema: definition, root };
}

function hasType({ type }: Schema, value: unknown): boolean {
  switch (type) {
    case undefined:
      return true;
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function fits(schema: Schema, value: string | number): boolean {
  if (typeof value === 'number')
    return value >= (schema.minimum ?? value) && value <= (schema.maximum ?? value);
  const { pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema;
  return (
    value.length >= minLength &&
    value.length <= maxLength &&
    (pattern === undefined || new RegExp(pattern).test(value))
  );
}

function listFaults(schema: Schema, list: readonly unknown[], path: KeyPath, root: Schema): Fault[] {
  const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (list.length < minItems || list.length > maxItems) return [wrong(schema, list, path)];
  return items === undefined ? [] : list.flatMap((item, at) => faults(items, item, [...path, at], root));
}

function mappingFaults(
  schema: Schema,
  mapping: Readonly<Record<string, unknown>>,
  path: KeyPath,
  root: Schema,
): Fault[] {
  const { properties = {}, additionalProperties: others, propertyNames, required = [] } = schema;
  const missing = required.filter((name) => !Object.hasOwn(mapping, name));
  const found = Object.entries(mapping).flatMap(([name, member]) => {
    const own = [...path, name];
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known !== undefined) return faults(known, member, own, root);
    if (others === false) return [{ path: own, words: unknown(name, Object.keys(properties)) }];
    if (propertyNames !== undefined && !fits(propertyNames, name))
      return [{ path: own, words: `is not a name that can be here; it must be ${inWords(propertyNames)}` }];
    return typeof others === 'object' ? faults(others, member, own, root) : [];
  });
  const lacking = missing.map((name) => ({ path, words: `lacks the key ${name}, which has to be there` }));
  if (Object.keys(mapping).length > (schema.maxProperties ?? Number.POSITIVE_INFINITY))
    return [...found, { path, words: `has more than ${schema.maxProperties} keys` }];
  return [...lacking, ...found];
}

function unknown(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return `is not a setting; ${near === undefined ? `here are ${known.join(', ')}` : `did you mean ${near}?`}`;
}

function wrong(schema: Schema, value: unknown, path: KeyPath): Fault {
  return { path, words: `is ${shown(value, path)}; it must be ${inWords(schema)}` };
}

/** Settings whose values may be secrets. */
const SECRET = ['proxy', 'environment'];

function shown(value: unknown, path: KeyPath): string {
  const mayBeSecret = typeof value === 'string' && path.some((step) => SECRET.includes(String(step)));
  return mayBeSecret ? 'another text' : shownValue(value);
}
