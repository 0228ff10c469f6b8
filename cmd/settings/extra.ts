/**
 * graft's own settings: registries, CernVM-FS, metrics, trust. They have files of their own beside GrootFS's file, since programs
 * that rewrite GrootFS's file drop unknown keys. Only calls that need them read them.
 */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { CvmfsFile } from '../../lib/cvmfs/settings.ts';
import type { PublisherFile } from '../../lib/publisher/settings.ts';
import type { RegistriesFile } from '../../lib/registry/policy/settings.ts';
import type { LayerWish } from '../../lib/store/layout/layer-form.ts';
import { errnoMeaning, type SysError } from '../../lib/sys/kernel/errno.ts';
import { AT_FDCWD } from '../../lib/sys/kernel/libc.ts';
import { statIfThere } from '../../lib/sys/kernel/stat.ts';
import type { TrustFile } from '../../lib/trust/settings.ts';
import type { GlobalValues } from '../cli/definitions.ts';
import { readConfigText } from './groot-file.ts';
import { withBytes } from './sizes.ts';

/** The parts of the settings, each with the type of its library. */
export interface ExtraSettings {
  readonly registries: RegistriesFile | undefined;
  readonly cvmfs: CvmfsFile | undefined;
  readonly publisher: PublisherFile | undefined;
  readonly metricsFile: string | undefined;
  readonly trust: TrustFile | undefined;
  readonly cache: CacheFile | undefined;
  readonly limits: LimitsFile | undefined;
  readonly layers: LayerWish | undefined;
  /** The paths of the files, for errors. */
  readonly source: string;
}

/** The document of one file, as its schema admits it. */
export interface ExtraFile {
  readonly registries?: RegistriesFile;
  readonly cvmfs?: CvmfsFile;
  readonly publisher?: PublisherFile;
  readonly metrics?: { readonly file?: string };
  readonly trust?: TrustFile;
  readonly cache?: CacheFile;
  readonly limits?: LimitsFile;
  readonly layers?: LayerWish;
}

/** Limits that no flag of Garden's sets. */
export interface LimitsFile {
  readonly inodes?: number;
  readonly inodes_per_gib?: number;
}

/** The part of the store that stays although no root filesystem uses it. */
interface CacheFile {
  readonly keep?: readonly string[];
}

const NO_SETTINGS: ExtraSettings = {
  registries: undefined,
  cvmfs: undefined,
  publisher: undefined,
  metricsFile: undefined,
  trust: undefined,
  cache: undefined,
  limits: undefined,
  layers: undefined,
  source: 'the extra settings',
};

/** @throws CONFIG_MISSING for a named file that does not exist, CONFIG_SYNTAX, CONFIG_INVALID */
export async function loadExtraSettings(
  globals: Pick<GlobalValues, 'extra-config' | 'config'>,
): Promise<ExtraSettings> {
  const files = globals['extra-config'] ? [globals['extra-config']] : await filesBeside(globals.config);
  const texts = files
    .map((path) => ({ path, text: readConfigText(path) }))
    .filter(({ text }) => saysSomething(text));
  if (texts.length === 0) return NO_SETTINGS;
  const { parseConfig } = await import('./groot-yaml.ts');
  const { isExtraSettings } = await import('../../lib/oci/generated/settings-validators.js');
  let merged: unknown = {};
  for (const { path, text } of texts) {
    const document = withBytes(parseConfig(path, text) ?? {});
    // Each file is validated alone, so that the error names the right file.
    if (!isExtraSettings(document)) throw await invalid(path, text, document);
    merged = merge(merged, document);
  }
  const { registries, cvmfs, publisher, metrics, trust, cache, limits, layers } = merged as ExtraFile;
  const source = files.join(', ');
  return { registries, cvmfs, publisher, metricsFile: metrics?.file, trust, cache, limits, layers, source };
}

/** The error of a document that its validator refused: the first fault in words, with its line. */
async function invalid(path: string, text: string, document: unknown): Promise<PluginError> {
  const [{ faultInWords, settingFaults }, { KeyLines }] = await Promise.all([
    import('./check/schema-faults.ts'),
    import('./check/lines.ts'),
  ]);
  const [first] = settingFaults(document);
  if (first === undefined)
    return new PluginError('CONFIG_INVALID', { path, reason: 'it does not have the right form' });
  const line = new KeyLines(text).of(first.path);
  return new PluginError('CONFIG_INVALID', { path, reason: faultInWords(first), line });
}

/** The texts of a file without settings, as templates write it. Every create reads the file, and loads no parser for these. */
const EMPTY_DOCUMENTS: readonly string[] = ['', '{}', '---', '--- {}'];

function saysSomething(text: string): boolean {
  return !EMPTY_DOCUMENTS.includes(text.trim());
}

/** The files `CONFIG.d/*.yml`, sorted by name. A missing directory means no settings, and costs a single system call. */
async function filesBeside(config: string | undefined): Promise<string[]> {
  if (!config) return [];
  const directory = settingsDirectory(config);
  try {
    if (statIfThere(AT_FDCWD, directory) === undefined) return [];
    const { listNames } = await import('../../lib/sys/kernel/look.ts');
    const names = listNames(directory).filter(isSettingsFile);
    return names.sort().map((name) => `${directory}/${name}`);
  } catch (error) {
    const reason = errnoMeaning((error as SysError).code);
    throw new PluginError('CONFIG_MISSING', { path: directory, reason }, { cause: error });
  }
}

export function settingsDirectory(config: string): string {
  return `${config}.d`;
}

/** Whether a file of that directory is read. */
export function isSettingsFile(name: string): boolean {
  return name.endsWith('.yml') && !name.startsWith('.');
}

/** Merges mappings key by key. Of other values the later file's counts. */
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
