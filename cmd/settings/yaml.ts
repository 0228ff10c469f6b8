import { checkYamlKeys, YamlProblem } from './yaml-keys.ts';

export { YamlProblem };

/**
 * One YAML document of plain data. `Bun.YAML` costs nothing at start (measured); what it is too lenient about
 * is refused here: duplicate keys, several documents, anchors, and integers that a number cannot hold.
 * @throws YamlProblem
 */
export function parseYaml(text: string): unknown {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (error) {
    throw new YamlProblem((error as Error).message.replace(/^YAML Parse error: /, ''));
  }
  checkYamlKeys(text);
  checkNumbers(value, '');
  return value;
}

/** Integers above 2^53 arrive rounded: a limit would silently be another one. */
function checkNumbers(value: unknown, key: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    throw new YamlProblem(`${key || 'the value'} is too large for graft: at most 9007199254740991`);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) checkNumbers(member, key ? `${key}.${name}` : name);
}
