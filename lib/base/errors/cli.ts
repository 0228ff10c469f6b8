/** Errors of a command line or a configuration file. */
export interface CliErrors {
  /** `suggestion`: the known name that comes closest, where one does. */
  CLI_UNKNOWN_VERB: { verb: string; suggestion: string | undefined };
  /** `place`: where the option exists, if it was only put in the wrong place. */
  CLI_UNKNOWN_FLAG: {
    flag: string;
    verb: string | undefined;
    suggestion: string | undefined;
    place: string | undefined;
  };
  CLI_BAD_FLAG_SYNTAX: { argument: string };
  CLI_BAD_VALUE: { flag: string; value: string; type: 'boolean' | 'int64' | 'text'; reason: string };
  CLI_MISSING_VALUE: { flag: string };
  /** `misplaced`: an option among the arguments, where it is read as an argument. */
  CLI_BAD_ARGUMENTS: { usage: string; misplaced: string | undefined };
  CLI_BAD_FIELD: { field: string; known: readonly string[] };
  CLI_ID_MISSING: { misplaced: string | undefined };
  CLI_CLEAN_CONFLICT: Record<string, never>;
  CLI_PASSWORD_STDIN: { reason: string };
  /** The operator did not say yes. */
  CLI_NOT_CONFIRMED: { store: string };
  CLI_LOG_FILE: { path: string; reason: string };
  /** The file for metrics cannot be written. Metrics decide nothing, so only the log says this. */
  CLI_METRICS_FILE: { path: string; reason: string };
  /** The machine forbids this process to make machine code at run time. */
  CLI_NO_MACHINE_CODE: Record<string, never>;
  /** A relative path cannot be resolved, because the working directory has no name that can be used. */
  CLI_WORKING_DIRECTORY: { path: string };
  /** `argument`: its number on the command line, counted from 1. Its bytes may be a secret's. */
  CLI_NOT_UTF8: { argument: number };
  /** The limit of open files is too low. */
  CLI_FEW_DESCRIPTORS: { limit: number; needed: number };
  CLI_INTERRUPTED: { signal: string };
  CONFIG_MISSING: { path: string; reason: string };
  /** The file is not YAML, or not one plain document. */
  CONFIG_SYNTAX: { path: string; reason: string };
  CONFIG_INVALID: { path: string; reason: string; line?: number | undefined };
  /** Keys of GrootFS's file that are no settings; graft works without them, as GrootFS does. */
  CONFIG_UNKNOWN_KEYS: { path: string; keys: readonly string[] };
  CONFIG_NEGATIVE: { what: 'disk limit' | 'inode limit' | 'clean threshold' | 'store size' };
}
