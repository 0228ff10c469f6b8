import { INT64_MAX } from '../cli/values.ts';
import { checkYamlKeys, YamlProblem } from './yaml-keys.ts';

export { YamlProblem };

/**
 * Parses a YAML document of plain data. `Bun.YAML` costs nothing at start (measured), but is too lenient, so this refuses
 * duplicate keys, several documents, anchors, and integers that a number cannot hold.
 * @param integers `int64` accepts integers above 2^53 too, which the parser rounds
 * @throws YamlProblem
 */
export function parseYaml(text: string, integers: 'exact' | 'int64' = 'exact'): unknown {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (error) {
    const line = brokenLine(text);
    const said = (error as Error).message.replace(/^YAML Parse error: /, '');
    throw new YamlProblem(line === undefined ? said : `line ${line}: ${said}`);
  }
  checkYamlKeys(text);
  checkNumbers(value, '', integers === 'exact' ? undefined : text);
  return value;
}

/** A configuration file has fewer lines; for a longer text the search below would take seconds. */
const MOST_LINES = 2000;

/**
 * The line on which the broken part begins: the one after the longest beginning of the text that can be read. The parser
 * itself does not say where it stopped.
 */
function brokenLine(text: string): number | undefined {
  const lines = text.split('\n');
  if (lines.length > MOST_LINES) return undefined;
  for (let count = lines.length - 1; count > 0; count -= 1)
    if (isReadable(lines.slice(0, count).join('\n'))) return count + 1;
  return 1;
}

function isReadable(text: string): boolean {
  try {
    Bun.YAML.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Refuses integers above 2^53, which the parser rounds: a setting would silently be another. */
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

/** The parser rounds 2^63 - 1, the largest int64, to 2^63, like some larger integers, so the text decides. */
function isInt64(value: number, text: string): boolean {
  if (Math.abs(value) !== 2 ** 63) return Math.abs(value) < 2 ** 63;
  const literals = text.match(/-?(?:0x[0-9a-f]+|0o[0-7]+|[0-9]+)/gi) ?? [];
  return literals.every((literal) => {
    const exact = literal.startsWith('-') ? -BigInt(literal.slice(1)) : BigInt(literal);
    return Number(exact) !== value || (exact <= INT64_MAX && exact >= -INT64_MAX - 1n);
  });
}
