import type { Secret } from '../../lib/base/secret.ts';

/** The levels of lager, which Garden's reader knows; there is no warning among them. */
export const LOG_LEVELS = ['debug', 'info', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface CreateSettings {
  /** Bytes; 0 is no limit. */
  readonly diskLimitBytes: number;
  readonly excludeImageFromQuota: boolean;
  readonly skipLayerValidation: boolean;
  readonly insecureRegistries: readonly string[];
  readonly withClean: boolean;
  readonly cleanLogFile: string | undefined;
  readonly withMount: boolean;
  /** Directory with `*.crt` and `*.cert`/`*.key` for layers that an `oci:` image keeps behind https. */
  readonly remoteLayerCertificates: string | undefined;
}

/** What holds for one call: command line, then GrootFS's file, then the defaults. */
export interface Settings {
  readonly store: string;
  readonly configFile: string | undefined;
  /** `--extra-config`: instead of what lies beside the configuration file. */
  readonly extraConfigFile: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
  readonly metronEndpoint: string | undefined;
  readonly metricsFile: string | undefined;
  readonly create: CreateSettings;
  /** Of `clean`, and of the clean that a create schedules. Bytes; 0 cleans always. */
  readonly cleanThresholdBytes: number;
  readonly init: { readonly storeSizeBytes: number; readonly withDirectIo: boolean };
  /** Keys of the file that nothing reads; a warning, since other programs write that file too. */
  readonly unknownKeys: readonly string[];
}

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

/** What the environment says, read once; nothing else looks at `process.env`. */
export interface Environment {
  readonly path: string;
  readonly home: string | undefined;
  readonly proxy: {
    readonly http: string | undefined;
    readonly https: string | undefined;
    readonly all: string | undefined;
    /** The value of NO_PROXY, unparsed. */
    readonly no: string | undefined;
  };
  readonly sslCertFile: string | undefined;
  readonly sslCertDir: string | undefined;
  readonly term: string | undefined;
  readonly noColor: boolean;
  /** All that a child process gets: PATH, HOME, locale; no proxy credentials, no settings of the runtime. */
  readonly forChildren: Readonly<Record<string, string>>;
}
