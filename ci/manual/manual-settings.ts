/**
 * The settings, as the manual shows them: GrootFS's keys from the options that say the same, graft's own from the
 * descriptions in their JSON schemas. Nothing is said twice.
 */

import { GLOBAL_OPTIONS, VERBS } from '../../cmd/cli/definitions.ts';
import type { OptionDefinition } from '../../cmd/cli/options.ts';
import extraSchema from '../../cmd/settings/extra.schema.json';
import { GROOT_KEYS, type GrootKey, type KeyType } from '../../cmd/settings/groot-keys.ts';
import cvmfsSchema from '../../lib/cvmfs/settings.schema.json';
import publisherSchema from '../../lib/publisher/settings.schema.json';
import registrySchema from '../../lib/registry/settings.schema.json';
import trustSchema from '../../lib/trust/settings.schema.json';

export interface SettingRow {
  readonly key: string;
  readonly type: string;
  /** Markdown; undefined where nothing is what holds without the key. */
  readonly default: string | undefined;
  readonly text: string;
}

export interface SettingGroup {
  /** `registries.hosts.HOST`, `cvmfs.repositories[]` */
  readonly path: string;
  readonly text: string;
  readonly rows: readonly SettingRow[];
}

/** The part of JSON Schema that this script reads. */
interface Schema {
  readonly $ref?: string;
  readonly description?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly (string | boolean)[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

/** Keys of the file that no option says. */
const WITHOUT_OPTION: { readonly [K in GrootKey]?: string } = {
  'create.remote_layer_client_certificates_path':
    'Directory with authorities (`*.crt`) and client certificates (`NAME.cert` with `NAME.key`) for layers that an oci: image keeps behind https.',
  'init.owneruser': 'Accepted for GrootFS: graft runs as root.',
  'init.ownergroup': 'Accepted for GrootFS: graft runs as root.',
};

const GROOT_TYPES: { readonly [K in KeyType]: string } = {
  string: 'text',
  boolean: 'true or false',
  integer: 'whole number',
  list: 'list of text',
};

/** Keys of GrootFS's file in their order there. @throws Error for a key about which nothing is said. */
export function grootSettings(): SettingRow[] {
  return (Object.keys(GROOT_KEYS) as GrootKey[]).map((key) => {
    const option = optionFor(key);
    const text = option === undefined ? WITHOUT_OPTION[key] : `${option.description}.`;
    if (text === undefined) throw new Error(`nothing is said about the key ${key}`);
    return { key, type: GROOT_TYPES[GROOT_KEYS[key]], default: option?.default, text };
  });
}

/** `clean.threshold_bytes` is an option of two verbs: the one that the key is named after describes it. */
function optionFor(key: string): OptionDefinition | undefined {
  const section = key.split('.')[0];
  const verbs = Object.entries(VERBS).sort(([a], [b]) => Number(b === section) - Number(a === section));
  const tables = [GLOBAL_OPTIONS, ...verbs.map(([, { options }]) => options)];
  return tables
    .flatMap((table) => Object.values<OptionDefinition>(table))
    .find((option) => option.configKey === key);
}

const PARTS: Readonly<Record<string, Schema>> = {
  isRegistrySettings: registrySchema,
  isCvmfsSettings: cvmfsSchema,
  isTrustSettings: trustSchema,
  isPublisherSettings: publisherSchema,
};

/** graft's own settings, one group for every mapping that has keys of its own. */
export function extraSettings(): SettingGroup[] {
  const schema: Schema = extraSchema;
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => {
    const root = part.$ref === undefined ? part : PARTS[part.$ref];
    if (root === undefined) throw new Error(`the settings ${name} have no schema`);
    if (root.properties === undefined)
      return [{ path: name, text: '', rows: [rowOf(name, root, root, name)] }];
    return groups(name, root, root);
  });
}

function groups(path: string, schema: Schema, root: Schema): SettingGroup[] {
  const rows: SettingRow[] = [];
  const below: SettingGroup[] = [];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const inner = mappingIn(property, root);
    const at = `${path}.${name}${inner?.suffix ?? ''}`;
    const { description = '' } = property;
    if (inner !== undefined)
      below.push(
        ...groups(at, { ...inner.schema, description: inner.schema.description ?? description }, root),
      );
    // A mapping that only holds other keys is a group, and has no row of its own.
    if (inner === undefined || inner.suffix !== '') rows.push(rowOf(name, property, root, at));
  }
  return [{ path, text: schema.description ?? '', rows }, ...below];
}

/** The mapping with fixed keys that a property is, or is a list or a dictionary of. */
function mappingIn(property: Schema, root: Schema): { schema: Schema; suffix: string } | undefined {
  if (property.properties !== undefined) return { schema: property, suffix: '' };
  const item = property.items && resolve(property.items, root);
  if (item?.properties !== undefined) return { schema: item, suffix: '[]' };
  const { additionalProperties: more } = property;
  const value = typeof more === 'object' ? resolve(more, root) : undefined;
  const listed = value?.items && resolve(value.items, root);
  if (listed?.properties !== undefined) return { schema: listed, suffix: '.SCOPE[]' };
  return value?.properties === undefined ? undefined : { schema: value, suffix: '.HOST' };
}

function resolve(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.replace('#/definitions/', '');
  return name === undefined ? schema : (root.definitions?.[name] ?? schema);
}

function rowOf(name: string, property: Schema, root: Schema, at: string): SettingRow {
  const inner = mappingIn(property, root);
  const type = inner === undefined ? typeOf(property, root) : `see \`${at}\``;
  const shown = inner === undefined ? defaultOf(property, root) : undefined;
  return { key: name, type, default: shown, text: property.description ?? '' };
}

/** A list of all words there are, which the type names already, is not repeated. */
function defaultOf({ default: value, items }: Schema, root: Schema): string | undefined {
  if (value === undefined) return undefined;
  const words = items && resolve(items, root).enum;
  const text = JSON.stringify(value);
  return text === JSON.stringify(words) ? 'all of them' : `\`${text}\``;
}

function typeOf(schema: Schema, root: Schema): string {
  const { type, enum: values, pattern, minimum, maximum } = resolve(schema, root);
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ');
  switch (type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `whole number, ${minimum ?? 0} to ${maximum ?? 'any'}`;
    case 'array':
      return `list of ${typeOf(schema.items ?? {}, root).replace(/path$/, 'paths')}`;
    case 'object':
      return 'mapping of text to text';
    default:
      return pattern === '^/' || pattern === '^(/[^/]+)+$' ? 'absolute path' : 'text';
  }
}
