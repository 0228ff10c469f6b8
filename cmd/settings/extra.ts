/**
 * graft's own settings: registries, CernVM-FS, metrics. They lie beside GrootFS's file, since the programs that
 * rewrite that one drop every key they do not know. Read at first need, by the calls that need them.
 */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { CvmfsFile } from '../../lib/cvmfs/settings.ts';
import type { RegistriesFile } from '../../lib/registry/policy/settings.ts';
import { errnoMeaning, type SysError } from '../../lib/sys/kernel/errno.ts';
import { AT_FDCWD } from '../../lib/sys/kernel/libc.ts';
import { statIfThere } from '../../lib/sys/kernel/stat.ts';
import type { GlobalValues } from '../cli/definitions.ts';
import { readConfigText } from './groot-file.ts';

/** Each part belongs to its library. */
export interface ExtraSettings {
  readonly registries: RegistriesFile | undefined;
  readonly cvmfs: CvmfsFile | undefined;
  readonly metricsFile: string | undefined;
  /** The files this came from, as errors name them. */
  readonly source: string;
}

interface ExtraFile {
  readonly registries?: RegistriesFile;
  readonly cvmfs?: CvmfsFile;
  readonly metrics?: { readonly file?: string };
}

const NO_SETTINGS: ExtraSettings = {
  registries: undefined,
  cvmfs: undefined,
  metricsFile: undefined,
  source: 'the extra settings',
};

/** @throws CONFIG_MISSING for a named file that is not there, CONFIG_SYNTAX, CONFIG_INVALID */
export async function loadExtraSettings(
  globals: Pick<GlobalValues, 'extra-config' | 'config'>,
): Promise<ExtraSettings> {
  const files = globals['extra-config'] ? [globals['extra-config']] : await filesBeside(globals.config);
  const texts = files
    .map((path) => ({ path, text: readConfigText(path) }))
    .filter(({ text }) => saysSomething(text));
  if (texts.length === 0) return NO_SETTINGS;
  const { parseConfig } = await import('./groot-yaml.ts');
  const { isExtraSettings } = await import('../../lib/oci/generated/validators.js');
  const { describeSchemaError } = await import('../../lib/oci/schema-error.ts');
  let merged: unknown = {};
  for (const { path, text } of texts) {
    const document = parseConfig(path, text) ?? {};
    // Each file by itself, so that the error names the right one.
    if (!isExtraSettings(document))
      throw new PluginError('CONFIG_INVALID', { path, reason: describeSchemaError(isExtraSettings) });
    merged = merge(merged, document);
  }
  const { registries, cvmfs, metrics } = merged as ExtraFile;
  return { registries, cvmfs, metricsFile: metrics?.file, source: files.join(', ') };
}

/** What a template renders where nothing is set. Every create reads it: no parser is loaded to find nothing in it. */
const EMPTY_DOCUMENTS: readonly string[] = ['', '{}', '---', '--- {}'];

function saysSomething(text: string): boolean {
  return !EMPTY_DOCUMENTS.includes(text.trim());
}

/** `CONFIG.d/*.yml`, in the order of their names. No directory is no settings, and costs one system call. */
async function filesBeside(config: string | undefined): Promise<string[]> {
  if (!config) return [];
  const directory = `${config}.d`;
  try {
    if (statIfThere(AT_FDCWD, directory) === undefined) return [];
    const { listNames } = await import('../../lib/sys/kernel/look.ts');
    const wanted = listNames(directory).filter((name) => name.endsWith('.yml') && !name.startsWith('.'));
    return wanted.sort().map((name) => `${directory}/${name}`);
  } catch (error) {
    const reason = errnoMeaning((error as SysError).code);
    throw new PluginError('CONFIG_MISSING', { path: directory, reason }, { cause: error });
  }
}

/** Mappings grow together, key by key; of everything else the later file's is taken whole. */
function merge(earlier: unknown, later: unknown): unknown {
  if (!isMapping(earlier) || !isMapping(later)) return later;
  const merged: Record<string, unknown> = { ...earlier };
  for (const [key, value] of Object.entries(later))
    merged[key] = Object.hasOwn(earlier, key) ? merge(earlier[key], value) : value;
  return merged;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
