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

/** The settings of a call: from the command line, else from GrootFS's file, else the defaults. */
export interface Settings {
  readonly store: string;
  readonly configFile: string | undefined;
  /** `--extra-config`: the file that replaces the settings beside the configuration file. */
  readonly extraConfigFile: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
  readonly metronEndpoint: string | undefined;
  readonly metricsFile: string | undefined;
  readonly create: CreateSettings;
  /** The threshold of `clean`, and of the clean that a create starts. Bytes; 0 always cleans. */
  readonly cleanThresholdBytes: number;
  readonly init: { readonly storeSizeBytes: number; readonly withDirectIo: boolean };
  /** Unknown keys of the file. They cause a warning only, since other programs write the file too. */
  readonly unknownKeys: readonly string[];
}

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

/** The environment, read once; no other code reads `process.env`. */
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
  /** The whole environment of a child: PATH, HOME, locale; no proxy credentials, no settings of the runtime. */
  readonly forChildren: Readonly<Record<string, string>>;
}
