import { GROOT_KEYS, type GrootValues, type KeyType, SECTIONS } from './groot-keys.ts';

const TYPES: Readonly<Record<string, KeyType>> = GROOT_KEYS;

/**
 * Signs of escapes, anchors, aliases, tags, flow mappings, `? key` and ends of documents. In YAML without them every colon
 * of a value is in the text, and every key of the text has a colon of its own.
 */
const ADDS_MEANING = ['\\', '&', '*', '!', '{', '?', '...'] as const;

/**
 * Reads GrootFS's file as BOSH's template and thresholder write it. Every call of Garden reads this file. A search for
 * duplicate keys line by line costs 0.3 ms at start (measured: a tenth of an empty program), so this reader counts colons
 * with functions of the runtime: with a duplicate key the text has more colons than the values. In any doubt
 * `groot-yaml.ts` reads the file, which also explains faults. Both use the table GROOT_KEYS, and a test compares their
 * answers.
 * @returns undefined when `groot-yaml.ts` has to read the file
 */
export function readQuickly(text: string): GrootValues | undefined {
  for (const sign of ADDS_MEANING) if (text.includes(sign)) return undefined;
  const document = parseOrUndefined(text);
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return undefined;
  if (text.split(':').length !== JSON.stringify(document).split(':').length) return undefined;
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(document)) {
    if (!SECTIONS.includes(name)) {
      if (!take(name, value, values)) return undefined;
    } else if (typeof value === 'object' && !Array.isArray(value)) {
      for (const [inner, member] of Object.entries(value ?? {}))
        if (!take(`${name}.${inner}`, member, values)) return undefined;
    } else return undefined;
  }
  return values as GrootValues;
}

function parseOrUndefined(text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch {
    return undefined;
  }
}

/** Adds a value; null and '' count as missing. False when the key or the type is unknown. */
function take(key: string, value: unknown, values: Record<string, unknown>): boolean {
  if (!Object.hasOwn(TYPES, key)) return false;
  if (value === null || value === '') return true;
  const type = TYPES[key];
  values[key] = value;
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type !== 'list') return typeof value === type;
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
