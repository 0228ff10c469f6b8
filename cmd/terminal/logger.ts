/**
 * Logs in lager's JSON, which Garden reads line by line. Garden's reader requires this of a line:
 * every line has a `data` object (without one Garden dies), `timestamp` is RFC 3339 with nine digits,
 * `level` is one of four words, `data.session` is a string, and a line is one write(2) of less than 4096
 * bytes (PIPE_BUF: larger writes may be torn, and a torn line is read as two broken ones).
 */
import { isPluginError, PluginError } from '../../lib/base/errors/error.ts';
import type { LogData, Logger } from '../../lib/base/log.ts';
import { maskFacts } from '../../lib/base/mask.ts';
import { errnoMeaning, hasCode, type SysError } from '../../lib/sys/kernel/errno.ts';
import { openAt } from '../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../lib/sys/kernel/libc.ts';
import type { LogLevel } from '../settings/types.ts';
import { fitData } from './fit.ts';
import { escapeJson, writeOnce } from './output.ts';

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, error: 2, fatal: 3 };
const SESSION = '1';

export interface LoggerOptions {
  readonly verb: string;
  readonly level: LogLevel;
  /** Writes a complete line, newline included. */
  readonly write: (line: string) => void;
  /** The secrets that are masked in each line. */
  readonly secrets: readonly string[];
}

type Emit = (level: LogLevel, event: string, data: LogData) => void;

export function lagerLogger(options: LoggerOptions): Logger {
  const threshold = RANK[options.level];
  let emit: Emit | undefined;
  const log = (level: LogLevel, event: string, data: LogData) => {
    if (RANK[level] < threshold) return;
    emit ??= openPino(options);
    emit(level, event, data);
  };
  return {
    debug: (event, data = {}) => log('debug', event, data),
    info: (event, data = {}) => log('info', event, data),
    error: (event, error, data = {}) => log('error', event, { ...data, error: errorText(error) }),
  };
}

/** pino costs 9 ms to load (measured), so it is loaded by the first line that the level lets through. */
function openPino(options: LoggerOptions): Emit {
  // `require` and not import(), since logging is synchronous: the line has to be written before the next step.
  const { pino } = require('pino') as typeof import('pino');
  const lines = pino(
    {
      base: { source: 'graft' },
      level: options.level,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${timestamp()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => options.write(escapeLine(line)) },
  );
  const data = (facts: LogData) => fitData({ ...maskFacts(facts, options.secrets), session: SESSION });
  return (level, event, facts) => lines[level]({ data: data(facts) }, `graft.${options.verb}.${event}`);
}

/** Escapes a line of pino, which ends with a newline. */
function escapeLine(line: string): string {
  return `${escapeJson(line.trimEnd())}\n`;
}

/** The time as RFC 3339 with nine digits, UTC. The clock has a resolution of a microsecond at best. */
export function timestamp(): string {
  const now = performance.timeOrigin + performance.now();
  const nanoseconds = Math.floor((now % 1000) * 1e6);
  return `${new Date(now).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;
}

/** The text of `data.error`: the code and its facts, or the message; never a stack. */
function errorText(error: unknown): string {
  if (isPluginError(error)) return `${error.code} ${JSON.stringify(error.subject)}`;
  return error instanceof Error ? error.message : String(error);
}

/** Plain lines of errors for a person. Other events are for programs; a person gets notes through `progress`. */
export function terminalLogger(write: (line: string) => void, secrets: readonly string[]): Logger {
  return {
    debug() {},
    info() {},
    error: (event, error) => {
      const { explain } = require('../sentences/report.ts') as typeof import('../sentences/report.ts');
      write(`${event.replaceAll('-', ' ')}: ${explain(error, secrets).sentence}\n`);
    },
  };
}

/** The attempts, a millisecond apart, to write a line to a full pipe that its reader made non-blocking. */
const ATTEMPTS = 100;

/** Writes each line by a single write(2). An error is ignored, since a log must not stop the work. */
export function lineWriter(fd: number): (line: string) => void {
  return (line) => {
    const bytes = new TextEncoder().encode(line);
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        writeOnce(fd, bytes);
        return;
      } catch (error) {
        if (!hasCode(error, 'EAGAIN', 'EINTR')) return;
        Bun.sleepSync(1);
      }
    }
  };
}

/**
 * Opens the log file until the process ends; a new file has mode 0644. The path may be a terminal or a pipe with a reader.
 * On a pipe without a reader open(2) would wait for ever, and with O_NONBLOCK fails with ENXIO.
 * @throws CLI_LOG_FILE
 */
export function openLogFile(path: string): number {
  try {
    return openAt(AT_FDCWD, path, O.WRONLY | O.APPEND | O.CREAT | O.NONBLOCK | O.NOCTTY, 0o644);
  } catch (error) {
    const { code } = error as SysError;
    const reason = code === 'ENXIO' ? 'it is a pipe that nobody reads, or a socket' : errnoMeaning(code);
    throw new PluginError('CLI_LOG_FILE', { path, reason }, { cause: error });
  }
}
