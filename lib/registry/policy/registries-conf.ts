import { readdirSync, readFileSync, statSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { oneLine, printable } from '../../base/text.ts';
import type { Mirror, RegistryRule } from './policy.ts';

/**
 * Reads the [[registry]] tables of containers-registries.conf(5), version 2: prefix, location, insecure, blocked, mirrors.
 * Other keys (search lists, short names, credential helpers) are ignored: graft has no such feature, or other settings.
 * @param paths files, and directories of `*.conf`; a later table replaces an earlier one of the same prefix.
 * @throws CONFIG_INVALID
 */
export function readRegistriesConf(paths: readonly string[]): RegistryRule[] {
  const rules = new Map<string, RegistryRule>();
  for (const file of paths.flatMap(filesOf)) {
    for (const rule of rulesIn(file)) rules.set(rule.prefix, rule);
  }
  return [...rules.values()];
}

function filesOf(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => name.endsWith('.conf'));
    return names.sort().map((name) => `${path}/${name}`);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): PluginError {
  const reason = `reading it fails with ${(error as { code?: string }).code ?? 'an error'}`;
  return new PluginError('CONFIG_INVALID', { path, reason }, { cause: error });
}

type Table = Readonly<Record<string, unknown>>;

function rulesIn(path: string): RegistryRule[] {
  const bad = (reason: string) => new PluginError('CONFIG_INVALID', { path, reason });
  const document = parse(path, bad);
  // Version 1 has a table of this name with lists of hosts, and no mirrors.
  if ('registries' in document)
    throw bad('it is of version 1; write [[registry]] tables, as version 2 has them');
  return tables(document, 'registry', bad).map((table) => toRule(table, path, bad));
}

function parse(path: string, bad: Bad): Table {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    return Bun.TOML.parse(text) as Table;
  } catch (error) {
    throw bad(`it is not TOML: ${withoutQuotes(error instanceof Error ? error.message : String(error))}`);
  }
}

/** The parser's complaint without its quotation of the file, which may be a password. */
function withoutQuotes(complaint: string): string {
  const words = complaint.replace(/^TOML Parse error: /, '');
  return oneLine(words.replace(/(?:: "| key ')[\s\S]*$/, ''), 200);
}

type Bad = (reason: string) => PluginError;

function toRule(table: Table, path: string, bad: Bad): RegistryRule {
  const location = textOf(table, 'location', bad);
  const prefix = textOf(table, 'prefix', bad) || location;
  if (prefix === '') throw bad('a [[registry]] has neither prefix nor location');
  if (location === '' && !prefix.startsWith('*.'))
    throw bad(`the registry ${printable(prefix)} has no location`);
  const digestsOnly = flagOf(table, 'mirror-by-digest-only', bad);
  return {
    prefix: lowerHost(prefix),
    // An empty location, which only `*.domain` may have, leaves the name unchanged.
    location: lowerHost(location),
    insecure: flagOf(table, 'insecure', bad),
    blocked: flagOf(table, 'blocked', bad),
    mirrors: tables(table, 'mirror', bad).map((mirror) => toMirror(mirror, digestsOnly, bad)),
    from: path,
  };
}

function toMirror(table: Table, digestsOnly: boolean, bad: Bad): Mirror {
  const location = textOf(table, 'location', bad);
  if (location === '') throw bad('a mirror has no location');
  const pulls = textOf(table, 'pull-from-mirror', bad) || (digestsOnly ? 'digest-only' : 'all');
  if (pulls !== 'all' && pulls !== 'digest-only' && pulls !== 'tag-only') {
    throw bad(`pull-from-mirror is ${printable(pulls)}; it can be all, digest-only or tag-only`);
  }
  if (digestsOnly && pulls !== 'digest-only') {
    throw bad('mirror-by-digest-only and pull-from-mirror contradict each other');
  }
  return { location: lowerHost(location), insecure: flagOf(table, 'insecure', bad), pulls };
}

function lowerHost(location: string): string {
  const slash = location.indexOf('/');
  return slash < 0 ? location.toLowerCase() : location.slice(0, slash).toLowerCase() + location.slice(slash);
}

function tables(table: Table, key: string, bad: Bad): Table[] {
  const value = table[key];
  if (value === undefined) return [];
  const isTable = (item: unknown) => typeof item === 'object' && item !== null && !Array.isArray(item);
  if (!Array.isArray(value) || !value.every(isTable))
    throw bad(`${key} is not a list of tables ([[${key}]])`);
  return value as Table[];
}

function textOf(table: Table, key: string, bad: Bad): string {
  const value = table[key];
  if (value === undefined) return '';
  if (typeof value !== 'string' || /[\s?#@]|:\/\//.test(value)) {
    throw bad(`${key} is not HOST[:PORT][/PATH] or one word`);
  }
  return value.replace(/\/+$/, '');
}

function flagOf(table: Table, key: string, bad: Bad): boolean {
  const value = table[key] ?? false;
  if (typeof value !== 'boolean') throw bad(`${key} is neither true nor false`);
  return value;
}
