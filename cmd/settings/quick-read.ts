import { GROOT_KEYS, type GrootValues, type KeyType, SECTIONS } from './groot-keys.ts';

const TYPES: Readonly<Record<string, KeyType>> = GROOT_KEYS;

/**
 * What YAML needs to say more than it shows: escapes, anchors, aliases, tags, flow mappings, `? key`, ends of documents. Without them
 * every colon of the values read is one of the text, and every key of the text has one of its own.
 */
const ADDS_MEANING = ['\\', '&', '*', '!', '{', '?', '...'] as const;

/**
 * Reads GrootFS's file as BOSH's template and thresholder write it. Every call of Garden begins with this file;
 * looking for duplicate keys line by line costs 0.3 ms at start (measured: a tenth of an empty program), so
 * colons are counted instead, by functions of the runtime: a key that was given twice leaves the text with more of
 * them than what was read. Whatever is not beyond doubt is left to `groot-yaml.ts`, which also finds the words
 * for what is wrong; a test holds the two to the same answers.
 * @returns undefined when the file needs the second look
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

/** Null and '' count as not given. */
function take(key: string, value: unknown, values: Record<string, unknown>): boolean {
  if (!Object.hasOwn(TYPES, key)) return false;
  if (value === null || value === '') return true;
  const type = TYPES[key];
  values[key] = value;
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type !== 'list') return typeof value === type;
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
