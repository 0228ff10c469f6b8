export type KeyType = 'string' | 'boolean' | 'integer' | 'list';

interface TypeOf {
  string: string;
  boolean: boolean;
  integer: number;
  list: readonly string[];
}

/** The table of all keys of GrootFS's file (July 2026) with the types of their Go fields, for both of its readers. */
export const GROOT_KEYS = {
  store: 'string',
  tardis_bin: 'string',
  newuidmap_bin: 'string',
  newgidmap_bin: 'string',
  metron_endpoint: 'string',
  log_level: 'string',
  log_file: 'string',
  // Until 2024-06; garden-runc-release still writes it.
  log_timestamp_format: 'string',
  'create.exclude_image_from_quota': 'boolean',
  'create.skip_layer_validation': 'boolean',
  'create.with_clean': 'boolean',
  'create.clean_log_file': 'string',
  'create.without_mount': 'boolean',
  'create.disk_limit_size_bytes': 'integer',
  'create.insecure_registries': 'list',
  'create.remote_layer_client_certificates_path': 'string',
  'clean.threshold_bytes': 'integer',
  'init.store_size_bytes': 'integer',
  'init.with_direct_io': 'boolean',
  // Fields of GrootFS's struct without a name of their own: they appear when a Go program writes the file back.
  'init.owneruser': 'string',
  'init.ownergroup': 'string',
} as const satisfies Record<string, KeyType>;

export type GrootKey = keyof typeof GROOT_KEYS;

/** The keys that have keys below them. */
export const SECTIONS: readonly string[] = ['create', 'clean', 'init'];

/** The values of the file. A key with an empty string or null counts as missing, as in GrootFS. */
export type GrootValues = { readonly [K in GrootKey]?: TypeOf[(typeof GROOT_KEYS)[K]] };

export interface GrootFile {
  readonly values: GrootValues;
  readonly unknownKeys: readonly string[];
}
