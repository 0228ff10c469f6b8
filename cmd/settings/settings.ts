/**
 * The settings of a call. The precedence is GrootFS's, key by key: flag, then file, then default. But GrootFS only tests
 * whether some flags are there, while graft reads their values: `--with-clean=false` does not clean.
 */
import { PluginError } from '../../lib/base/errors/error.ts';
import { fromWorkingDirectory } from '../../lib/sys/files/path.ts';
import type { VerbValues } from '../cli/definitions.ts';
import { GLOBAL_OPTIONS } from '../cli/global-options.ts';
import type { Invocation } from '../cli/parse.ts';
import { EMPTY_FILE, readGrootFile } from './groot-file.ts';
import type { GrootValues } from './groot-keys.ts';
import { type CreateSettings, LOG_LEVELS, type LogLevel, type Settings } from './types.ts';

/** The options of all verbs that are settings. A verb without an option has no such key. */
type Flags = Partial<VerbValues<'create'> & VerbValues<'clean'> & VerbValues<'init-store'>>;

/** @throws CONFIG_* and CLI_CLEAN_CONFLICT. Reads the configuration file, if one is named. */
export function loadSettings({ globals, options }: Pick<Invocation, 'globals' | 'options'>): Settings {
  const flags = options as Flags;
  const configFile = globals.config || undefined;
  const { values: file, unknownKeys } = configFile === undefined ? EMPTY_FILE : readGrootFile(configFile);
  const logFile = globals['log-file'] || file.log_file;
  const settings: Settings = {
    // Overlay mounts and detached cleans have another working directory, so the path has to be absolute.
    store: fromWorkingDirectory(globals.store ?? file.store ?? GLOBAL_OPTIONS.store.default),
    configFile,
    extraConfigFile: globals['extra-config'] || undefined,
    logLevel: logLevel(globals['log-level'] ?? file.log_level, logFile),
    logFile,
    metronEndpoint: globals['metron-endpoint'] || file.metron_endpoint,
    metricsFile: globals['metrics-file'] || undefined,
    create: createSettings(flags, file),
    cleanThresholdBytes: flags['threshold-bytes'] ?? file['clean.threshold_bytes'] ?? 0,
    init: {
      storeSizeBytes: flags['store-size-bytes'] ?? file['init.store_size_bytes'] ?? 0,
      // The flag can only switch it on, as in GrootFS.
      withDirectIo: (flags['with-direct-io'] ?? false) || (file['init.with_direct_io'] ?? false),
    },
    unknownKeys,
  };
  refuseNegative('disk limit', settings.create.diskLimitBytes);
  refuseNegative('clean threshold', settings.cleanThresholdBytes);
  refuseNegative('store size', settings.init.storeSizeBytes);
  return settings;
}

function createSettings(flags: Flags, file: GrootValues): CreateSettings {
  const insecure = flags['insecure-registry'] ?? [];
  return {
    diskLimitBytes: flags['disk-limit-size-bytes'] ?? file['create.disk_limit_size_bytes'] ?? 0,
    excludeImageFromQuota:
      flags['exclude-image-from-quota'] ?? file['create.exclude_image_from_quota'] ?? false,
    skipLayerValidation: flags['skip-layer-validation'] ?? file['create.skip_layer_validation'] ?? false,
    insecureRegistries: insecure.length > 0 ? insecure : (file['create.insecure_registries'] ?? []),
    withClean: withClean(flags) ?? file['create.with_clean'] ?? false,
    cleanLogFile: flags['clean-log-file'] || file['create.clean_log_file'],
    withMount: withMount(flags) ?? !(file['create.without_mount'] ?? false),
    remoteLayerCertificates: file['create.remote_layer_client_certificates_path'],
  };
}

/** @throws CLI_CLEAN_CONFLICT when the two contradict each other. */
function withClean(flags: Flags): boolean | undefined {
  const [wanted, unwanted] = [flags['with-clean'], flags['without-clean']];
  if (unwanted === undefined) return wanted;
  if (wanted === unwanted) throw new PluginError('CLI_CLEAN_CONFLICT', {});
  return !unwanted;
}

/** Where the two options contradict each other, the root filesystem is not mounted, as in GrootFS. */
function withMount(flags: Flags): boolean | undefined {
  const [wanted, unwanted] = [flags['with-mount'], flags['without-mount']];
  if (wanted === undefined && unwanted === undefined) return undefined;
  return (wanted ?? true) && !(unwanted ?? false);
}

/** The log level, in any case of letters; an unknown word means fatal. With a log file the level is info at least. */
function logLevel(text: string | undefined, logFile: string | undefined): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text?.toLowerCase()) ?? 'fatal';
  return level === 'fatal' && logFile !== undefined ? 'info' : level;
}

function refuseNegative(what: 'disk limit' | 'clean threshold' | 'store size', value: number): void {
  if (value < 0) throw new PluginError('CONFIG_NEGATIVE', { what });
}
