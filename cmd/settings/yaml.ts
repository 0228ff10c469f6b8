import { INT64_MAX } from '../cli/values.ts';
import { checkYamlKeys, YamlProblem } from './yaml-keys.ts';

export { YamlProblem };

/**
 * One YAML document of plain data. `Bun.YAML` costs nothing at start (measured); what it is too lenient about
 * is refused here: duplicate keys, several documents, anchors, and integers that a number cannot hold.
 * @param integers `int64`: those above 2^53 are taken too, rounded as a number is
 * @throws YamlProblem
 */
export function parseYaml(text: string, integers: 'exact' | 'int64' = 'exact'): unknown {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (error) {
    throw new YamlProblem((error as Error).message.replace(/^YAML Parse error: /, ''));
  }
  checkYamlKeys(text);
  checkNumbers(value, '', integers === 'exact' ? undefined : text);
  return value;
}

/** Integers above 2^53 arrive rounded: a setting would silently be another one. */
function checkNumbers(value: unknown, key: string, int64In: string | undefined): void {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    const largest = int64In === undefined ? Number.MAX_SAFE_INTEGER : INT64_MAX;
    if (int64In === undefined || !isInt64(value, int64In))
      throw new YamlProblem(`${key || 'the value'} is too large for graft: at most ${largest}`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value))
    checkNumbers(member, key ? `${key}.${name}` : name, int64In);
}

/** 2^63 - 1, the largest, arrives as 2^63, like some that are too large: the text tells which of them there are. */
function isInt64(value: number, text: string): boolean {
  if (Math.abs(value) !== 2 ** 63) return Math.abs(value) < 2 ** 63;
  const literals = text.match(/-?(?:0x[0-9a-f]+|0o[0-7]+|[0-9]+)/gi) ?? [];
  return literals.every((literal) => {
    const exact = literal.startsWith('-') ? -BigInt(literal.slice(1)) : BigInt(literal);
    return Number(exact) !== value || (exact <= INT64_MAX && exact >= -INT64_MAX - 1n);
  });
}
