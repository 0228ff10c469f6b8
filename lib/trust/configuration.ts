/**
 * The bytes that decide about images: the policy, the files of registries.d, and the keys. Every create with a policy reads
 * them, and compares their digest with that of the verdicts that it kept; only a create without such a verdict parses them.
 */
import { sha256Hex } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import { errnoMeaning, hasCode, type SysError } from '../sys/kernel/errno.ts';
import { listNames } from '../sys/kernel/look.ts';
import { readFile } from '../sys/kernel/read.ts';
import type { TrustSettings } from './settings.ts';

/** Raised when a verdict of an earlier version must not count any more. */
const RULES = 1;
/** The rules of a large site have some hundred kilobytes, with keys in base64. */
const MAX_FILE = 4 * MiB;

export interface Configuration {
  /** Of everything below. */
  readonly digest: string;
  readonly policy: Uint8Array;
  /** By path, sorted. */
  readonly registriesD: readonly { readonly path: string; readonly bytes: Uint8Array }[];
  /** The files that the policy names, by path; an error where one cannot be read. */
  readonly keys: ReadonlyMap<string, Uint8Array | SysError>;
}

/** @throws CONFIG_MISSING */
export function readConfiguration(settings: TrustSettings): Configuration {
  const { policy: path, registriesD: directory, identities, unnamedBundles } = settings;
  const policy = readConfigured(path);
  const registriesD = filesOf(directory).map((file) => ({ path: file, bytes: readConfigured(file) }));
  const keys = new Map(keyPaths(policy).map((key) => [key, readIfPossible(key)]));
  const parts = [
    part(path, policy),
    ...registriesD.map((file) => part(file.path, file.bytes)),
    ...[...keys].map(([key, found]) => part(key, found instanceof Uint8Array ? found : undefined)),
    sha256Hex(JSON.stringify([[...identities], unnamedBundles])),
  ];
  return { digest: sha256Hex(`${RULES} ${parts.join(' ')}`), policy, registriesD, keys };
}

function part(path: string, bytes: Uint8Array | undefined): string {
  return `${sha256Hex(path)}:${bytes === undefined ? 'none' : sha256Hex(bytes)}`;
}

function readConfigured(path: string): Uint8Array {
  try {
    return readFile(path, MAX_FILE);
  } catch (error) {
    throw missing(path, error);
  }
}

function readIfPossible(path: string): Uint8Array | SysError {
  try {
    return readFile(path, MAX_FILE);
  } catch (error) {
    return error as SysError;
  }
}

function filesOf(directory: string): string[] {
  try {
    const names = listNames(directory).filter((name) => name.endsWith('.yaml'));
    return names.sort().map((name) => `${directory}/${name}`);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw missing(directory, error);
  }
}

/**
 * The files that a policy names, sorted. A policy that is not JSON has none: its strict reader refuses it. That reader
 * takes no other file than these.
 */
function keyPaths(policy: Uint8Array): string[] {
  const found = new Set<string>();
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      if (/Paths?$/.test(name))
        for (const path of [member].flat())
          if (typeof path === 'string' && path.startsWith('/')) found.add(path);
      look(member);
    }
  };
  try {
    look(JSON.parse(new TextDecoder().decode(policy)));
  } catch {
    return [];
  }
  return [...found].sort();
}

function missing(path: string, error: unknown): PluginError<'CONFIG_MISSING'> {
  const reason = errnoMeaning((error as SysError).code);
  return new PluginError('CONFIG_MISSING', { path, reason }, { cause: error });
}
