import { PluginError } from '../../lib/base/errors/error.ts';
import type { Logger } from '../../lib/base/log.ts';
import { type Progress, silentProgress } from '../../lib/base/progress.ts';
import { printable } from '../../lib/base/text.ts';
import type { Verb } from '../cli/definitions.ts';
import type { Invocation } from '../cli/parse.ts';
import type { Settings } from '../settings/types.ts';
import { lagerLogger, lineWriter, openLogFile, terminalLogger } from '../terminal/logger.ts';
import { isTerminal, terminalOn } from '../terminal/terminal.ts';
import type { TakenSecrets } from './arguments.ts';

/** The reports of a call: a log for programs, a progress line for a person, or both. */
export interface Reporting {
  readonly log: Logger;
  readonly progress: Progress;
  /** True when the log is the terminal of a person, who also sees the sentence of a failure there. */
  readonly plain: boolean;
  /** Clears the progress line, before the answer is written and at the end. */
  clear(): void;
}

/**
 * Opens the log and the progress line. With `--log-level`, stderr gets lager's JSON, also on a terminal. Otherwise a
 * terminal gets plain lines and progress, and a program gets lager's JSON.
 * @throws CLI_LOG_FILE
 */
export async function openReporting(
  invocation: Pick<Invocation, 'verb' | 'globals'>,
  settings: Pick<Settings, 'logLevel' | 'logFile'>,
  term: string | undefined,
  { secrets, stderr }: TakenSecrets,
): Promise<Reporting> {
  const write = lineWriter(stderr);
  const logsToStderr = settings.logFile === undefined;
  const askedForLog = logsToStderr && invocation.globals['log-level'] !== undefined;
  const person = !askedForLog && isTerminal(stderr);
  const isForPrograms = !person && !askedForLog && TRANSFERS.has(invocation.verb);
  // Loaded where it is shown: Garden's calls have no use for it.
  const display = person || isForPrograms ? await import('../terminal/progress.ts') : undefined;
  const shown = person && display ? new display.TerminalProgress(terminalOn(stderr, write, term)) : undefined;
  const plain = person && logsToStderr;
  const lines = isForPrograms && display ? new display.PlainProgress(write) : silentProgress;
  const log = plain
    ? terminalLogger((line) => shown?.note(line.trimEnd()), secrets)
    : lagerLogger({
        verb: invocation.verb,
        level: settings.logLevel,
        write: settings.logFile === undefined ? write : lineWriter(openLogFile(settings.logFile)),
        secrets,
      });
  return { log, plain, progress: shown ?? lines, clear: () => shown?.clear() };
}

/** Verbs that people and their scripts call for a transfer. Garden reads the stderr of the others as a log. */
const TRANSFERS: ReadonlySet<Verb> = new Set<Verb>(['export', 'publish', 'pull', 'push', 'run']);

/** The verbs that warn at each call. Other verbs are called every 15 seconds, which is too often for a warning. */
const WARNING: ReadonlySet<Verb> = new Set<Verb>(['create', 'init-store']);

/** Logs the settings at level debug, as GrootFS does, and the unknown keys of the configuration file. */
export function reportSettings(
  verb: Verb,
  settings: Settings,
  { log, progress, plain }: Pick<Reporting, 'log' | 'progress' | 'plain'>,
): void {
  log.debug(`${verb}-config`, { currentConfig: settings });
  const { unknownKeys: keys, configFile = '' } = settings;
  if (keys.length === 0) return;
  // At level error: a misspelt limit or a misspelt with_clean is off, and nothing else would say so.
  if (WARNING.has(verb))
    log.error('config-keys-unknown', new PluginError('CONFIG_UNKNOWN_KEYS', { path: configFile, keys }), {
      configFile,
      keys,
    });
  // The log of a person's terminal has shown it.
  if (!(plain && WARNING.has(verb)))
    progress.note(`${configFile}: nothing reads ${keys.map(printable).join(', ')}`);
}
