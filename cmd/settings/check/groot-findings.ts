/** Faults of GrootFS's configuration file. */
import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { printable } from '../../../lib/base/text.ts';
import { MIN_STORE_BYTES } from '../../../lib/store/init/backing.ts';
import { readConfigText } from '../groot-file.ts';
import { GROOT_KEYS, type GrootKey, type KeyType, SECTIONS } from '../groot-keys.ts';
import { convert, IN_WORDS, parseConfig } from '../groot-yaml.ts';
import { LOG_LEVELS } from '../types.ts';
import type { SettingFinding } from './finding.ts';
import { KeyLines } from './lines.ts';
import { nearest } from './near.ts';
import { either } from './schema-words.ts';
import { shownValue } from './shown-value.ts';

/** @param explain the sentence of an error */
export function grootFindings(path: string, explain: (error: unknown) => string): SettingFinding[] {
  try {
    const text = readConfigText(path);
    const lines = new KeyLines(text);
    const document = parseConfig(path, text, 'int64');
    if (document === null || document === undefined) return [];
    return valuesOf(document).flatMap(({ key, value }) => {
      const found = fault(key, value);
      if (found === undefined) return [];
      return [{ file: path, line: lines.of(key.split('.')), key: printable(key), ...found }];
    });
  } catch (error) {
    if (!isPluginError(error)) throw error;
    return [{ file: path, line: undefined, key: undefined, verdict: 'problem', detail: explain(error) }];
  }
}

/** The store that a file names although other keys of it are wrong; undefined where it cannot be read. */
export function storeIn(path: string): string | undefined {
  try {
    const document = parseConfig(path, readConfigText(path), 'int64');
    const store = isMapping(document) ? document['store'] : undefined;
    return typeof store === 'string' && store.startsWith('/') ? store : undefined;
  } catch (error) {
    if (isPluginError(error)) return undefined;
    throw error;
  }
}

type Found = Pick<SettingFinding, 'verdict' | 'detail'> | undefined;

/** The keys of the file, each with the name of its section, and their values. A section that is no mapping is a key of its own. */
function valuesOf(document: unknown): { key: string; value: unknown }[] {
  if (!isMapping(document)) return [{ key: '', value: document }];
  return Object.entries(document).flatMap(([name, value]) => {
    if (!SECTIONS.includes(name) || !isMapping(value)) return [{ key: name, value }];
    return Object.entries(value).map(([inner, member]) => ({ key: `${name}.${inner}`, value: member }));
  });
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fault(key: string, value: unknown): Found {
  if (key === '' || SECTIONS.includes(key))
    return value === null ? undefined : problem(`is ${shownValue(value)}; it must hold keys and values`);
  if (!Object.hasOwn(GROOT_KEYS, key)) {
    const near = nearest(key, Object.keys(GROOT_KEYS));
    const more = near === undefined ? 'docs/configuration.md has every key' : `did you mean ${near}?`;
    return problem(`is not a setting, and nothing reads it; ${more}`);
  }
  if (value === null || value === '') return undefined;
  const type: KeyType = GROOT_KEYS[key as GrootKey];
  const typed = convert(type, value);
  if (typed === undefined) return problem(`is ${shownValue(value)}; it must be ${IN_WORDS[type]}`);
  return CHECKS[key as GrootKey]?.(typed as never);
}

const CHECKS: { readonly [K in GrootKey]?: (value: never) => Found } = {
  store: (path: string) =>
    path.startsWith('/') && path !== '/'
      ? undefined
      : problem(`is ${shownValue(path)}; it must be an absolute path`),
  log_level: (level: string) =>
    (LOG_LEVELS as readonly string[]).includes(level.toLowerCase())
      ? undefined
      : problem(`is ${shownValue(level)}; it must be ${either(LOG_LEVELS)}, and fatal counts meanwhile`),
  log_file: fileToWrite,
  metron_endpoint: (text: string) =>
    /^(\[[0-9a-fA-F:]+\]|[^\s/:]+):\d{1,5}$/.test(text)
      ? undefined
      : problem(`is ${shownValue(text)}; it must be HOST:PORT, and no metrics are sent meanwhile`),
  'create.clean_log_file': fileToWrite,
  'create.remote_layer_client_certificates_path': (path: string) =>
    isDirectory(path) ? undefined : problem(`is ${shownValue(path)}; there is no such directory`),
  'create.disk_limit_size_bytes': notNegative,
  'clean.threshold_bytes': notNegative,
  'init.store_size_bytes': (bytes: number) => {
    if (bytes === 0 || bytes >= MIN_STORE_BYTES) return notNegative(bytes);
    return problem(
      `is ${bytes}; it must be 0 or at least ${MIN_STORE_BYTES}, the smallest that mkfs.xfs makes`,
    );
  },
  'create.insecure_registries': (hosts: readonly string[]) => {
    const bad = hosts.find((host) => /[\s/]/.test(host) || host === '');
    if (bad !== undefined) return problem(`has ${shownValue(bad)}; an entry must be HOST or HOST:PORT`);
    const twice = hosts.find((host, at) => hosts.indexOf(host) !== at);
    return twice === undefined ? undefined : warning(`has ${shownValue(twice)} twice`);
  },
};

function notNegative(bytes: number): Found {
  return bytes >= 0 ? undefined : problem(`is ${bytes}; it must not be negative`);
}

function fileToWrite(path: string): Found {
  const directory = dirname(path);
  if (isDirectory(path)) return problem(`is ${shownValue(path)}; it must be a file, and that is a directory`);
  return isDirectory(directory)
    ? undefined
    : problem(`is ${shownValue(path)}; the directory ${printable(directory)} is not there`);
}

function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function problem(detail: string): Found {
  return { verdict: 'problem', detail };
}

function warning(detail: string): Found {
  return { verdict: 'warning', detail };
}
