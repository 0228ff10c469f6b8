import type { OptionTable } from './options.ts';

/** The options of all verbs, which come before the verb. */
export const GLOBAL_OPTIONS = {
  config: { type: 'string', valueName: 'FILE', description: "GrootFS's YAML configuration file" },
  'extra-config': {
    type: 'string',
    valueName: 'FILE',
    description: "graft's own settings (registries, CVMFS, metrics) instead of CONFIG.d/*.yml",
  },
  store: {
    type: 'string',
    valueName: 'DIR',
    default: '/var/lib/graft',
    configKey: 'store',
    description: 'the store directory',
  },
  'log-level': {
    type: 'string',
    valueName: 'LEVEL',
    default: 'fatal',
    configKey: 'log_level',
    description: 'debug, info, error or fatal',
  },
  'log-file': {
    type: 'string',
    valueName: 'FILE',
    configKey: 'log_file',
    description: 'append logs to FILE instead of stderr (level info at least)',
  },
  'metron-endpoint': {
    type: 'string',
    valueName: 'HOST:PORT',
    configKey: 'metron_endpoint',
    description: 'send metrics to this metron agent (dropsonde over UDP)',
  },
  'metrics-file': {
    type: 'string',
    valueName: 'FILE',
    description: "write metrics to FILE as Prometheus text, for node_exporter's textfile collector",
  },
  'tardis-bin': {
    type: 'string',
    valueName: 'PROGRAM',
    configKey: 'tardis_bin',
    unneeded: true,
    description: 'accepted for GrootFS: graft sets quotas itself',
  },
  'newuidmap-bin': {
    type: 'string',
    valueName: 'PROGRAM',
    configKey: 'newuidmap_bin',
    unneeded: true,
    description: 'accepted for GrootFS: graft maps owners itself',
  },
  'newgidmap-bin': {
    type: 'string',
    valueName: 'PROGRAM',
    configKey: 'newgidmap_bin',
    unneeded: true,
    description: 'accepted for GrootFS: graft maps owners itself',
  },
  'log-timestamp-format': {
    type: 'string',
    valueName: 'FORMAT',
    configKey: 'log_timestamp_format',
    unneeded: true,
    hidden: true,
    description: 'accepted for GrootFS before 2024-06: times are always RFC 3339',
  },
} as const satisfies OptionTable;
