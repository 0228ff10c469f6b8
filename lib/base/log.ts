export type LogData = Readonly<Record<string, unknown>>;

/**
 * The log takes events: a fixed name and an object of facts, no sentences. `cmd/` decides the written form (lager's, for
 * Garden). There is no `warn`, since Garden's reader knows debug, info, error and fatal only.
 */
export interface Logger {
  debug(event: string, data?: LogData): void;
  info(event: string, data?: LogData): void;
  error(event: string, error: unknown, data?: LogData): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, error() {} };
