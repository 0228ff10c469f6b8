import { PluginError } from '../../lib/base/errors/error.ts';
import { heldBytes } from '../cli/values.ts';
import { KeyLines } from './check/lines.ts';
import { shownValue } from './check/shown-value.ts';
import {
  GROOT_KEYS,
  type GrootFile,
  type GrootKey,
  type GrootValues,
  type KeyType,
  SECTIONS,
} from './groot-keys.ts';
import { parseYaml, YamlProblem } from './yaml.ts';

/** Reads GrootFS's file in any form of YAML. @throws CONFIG_SYNTAX, CONFIG_INVALID */
export function readGrootYaml(path: string, text: string): GrootFile {
  const document = parseConfig(path, text, 'int64');
  const values: Record<string, unknown> = {};
  const unknownKeys: string[] = [];
  if (document === null || document === undefined) return { values, unknownKeys };
  const into = { values, unknownKeys, path, text };
  for (const [name, member] of entriesOf(document, '', path)) {
    if (!SECTIONS.includes(name)) take(name, member, into);
    else if (member !== null)
      for (const [inner, value] of entriesOf(member, name, path)) take(`${name}.${inner}`, value, into);
  }
  return { values: values as GrootValues, unknownKeys };
}

/** @throws CONFIG_SYNTAX */
export function parseConfig(path: string, text: string, integers: 'exact' | 'int64' = 'exact'): unknown {
  try {
    return parseYaml(text, integers);
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    throw new PluginError('CONFIG_SYNTAX', { path, reason: error.message }, { cause: error });
  }
}

function entriesOf(value: unknown, name: string, path: string): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  const what = name === '' ? 'the file' : name;
  throw new PluginError('CONFIG_INVALID', { path, reason: `${what} must hold keys and values` });
}

interface Taken {
  readonly values: Record<string, unknown>;
  readonly unknownKeys: string[];
  readonly path: string;
  readonly text: string;
}

function take(key: string, value: unknown, { values, unknownKeys, path, text }: Taken): void {
  if (!Object.hasOwn(GROOT_KEYS, key)) {
    unknownKeys.push(key);
    return;
  }
  if (value === null || value === '') return;
  const type: KeyType = GROOT_KEYS[key as GrootKey];
  const typed = convert(type, value);
  if (typed === undefined) {
    const line = new KeyLines(text).of(key.split('.'));
    const reason = `${key} is ${shownValue(value)}; it must be ${IN_WORDS[type]}`;
    throw new PluginError('CONFIG_INVALID', { path, reason, line });
  }
  values[key] = typed;
}

export const IN_WORDS: Readonly<Record<KeyType, string>> = {
  string: 'text',
  boolean: 'true or false',
  integer: 'a whole number of bytes',
  list: 'a list of texts',
};

/** Booleans of YAML 1.1, which GrootFS's reader accepts. Bun's reader (YAML 1.2) gives them as text. */
const TRUE = /^(?:y|yes|on)$/i;
const FALSE = /^(?:n|no|off)$/i;

export function convert(type: KeyType, value: unknown): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (typeof value !== 'string') return undefined;
      return TRUE.test(value) ? true : FALSE.test(value) ? false : undefined;
    case 'integer':
      return Number.isInteger(value) ? heldBytes(BigInt(value as number)) : undefined;
    case 'list':
      return Array.isArray(value) && value.every((v) => typeof v === 'string') ? value : undefined;
  }
}
