export type LogData = Readonly<Record<string, unknown>>;

/**
 * Events, not sentences: a fixed name and an object of facts. The shape on the wire (lager, for Garden)
 * is decided in `cmd/`. There is no `warn`: Garden's reader knows debug, info, error and fatal only.
 */
export interface Logger {
  debug(event: string, data?: LogData): void;
  info(event: string, data?: LogData): void;
  error(event: string, error: unknown, data?: LogData): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, error() {} };
