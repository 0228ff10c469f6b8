/**
 * GrootFS's configuration file has GrootFS's keys only: BOSH's thresholder reads it into a Go struct and writes it again,
 * so other keys would be lost. Keys that graft does not need are accepted. Unknown keys are reported by name and otherwise
 * ignored, as in GrootFS.
 */
import { PluginError } from '../../lib/base/errors/error.ts';
import { errnoMeaning, type SysError } from '../../lib/sys/kernel/errno.ts';
import { readFile } from '../../lib/sys/kernel/read.ts';
import type { GrootFile } from './groot-keys.ts';
import { readQuickly } from './quick-read.ts';

export const EMPTY_FILE: GrootFile = { values: {}, unknownKeys: [] };

/** @throws CONFIG_MISSING, CONFIG_SYNTAX, CONFIG_INVALID */
export function readGrootFile(path: string): GrootFile {
  const text = readConfigText(path);
  const values = readQuickly(text);
  if (values !== undefined) return { values, unknownKeys: [] };
  // `require` and not import(), since settings are loaded synchronously.
  const { readGrootYaml } = require('./groot-yaml.ts') as typeof import('./groot-yaml.ts');
  return readGrootYaml(path, text);
}

/** More than any configuration file has; a larger file is a mistake in the path. */
const MAX_BYTES = 1024 * 1024;

/** @throws CONFIG_MISSING with the kernel's reason, CONFIG_SYNTAX for what is not UTF-8, which YAML is */
export function readConfigText(path: string): string {
  const bytes = readConfig(path);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    const reason = 'it is not UTF-8; write it again in UTF-8, names and paths in it too';
    throw new PluginError('CONFIG_SYNTAX', { path, reason }, { cause: error });
  }
}

function readConfig(path: string): Uint8Array {
  try {
    return readFile(path, MAX_BYTES);
  } catch (error) {
    const reason = errnoMeaning((error as SysError).code);
    throw new PluginError('CONFIG_MISSING', { path, reason }, { cause: error });
  }
}
