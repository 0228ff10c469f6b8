import { spawn } from 'node:child_process';
import type { Logger } from '../../lib/base/log.ts';
import { absolute } from '../../lib/sys/files/path.ts';
import { close } from '../../lib/sys/kernel/files.ts';
import type { Settings } from '../settings/types.ts';
import { openLogFile } from '../terminal/logger.ts';
import type { VerbContext } from './verb-context.ts';

/**
 * Starts a clean in a session of its own. The clean has none of the caller's pipes, since Garden waits for their end.
 * An error is logged only, since the image is made already. If the log file of the clean cannot be opened, the clean runs
 * without it, so that the store does not fill up.
 */
export function startClean({ settings, env, log }: VerbContext<'create'>): void {
  const output = openCleanLog(settings, log);
  const cleanLogFile = output === undefined ? undefined : settings.create.cleanLogFile;
  const seen = { ...settings, create: { ...settings.create, cleanLogFile } };
  try {
    const child = spawn(process.execPath, cleanArguments(seen), {
      detached: true,
      stdio: ['ignore', 'ignore', output ?? 'ignore'],
      cwd: '/',
      env: env.forChildren,
    });
    child.on('error', (error) => log.error('clean-not-started', error));
    child.unref();
  } catch (error) {
    log.error('clean-not-started', error);
  } finally {
    if (output !== undefined) close(output);
  }
}

function openCleanLog({ create: { cleanLogFile } }: Settings, log: Logger): number | undefined {
  if (cleanLogFile === undefined) return undefined;
  try {
    return openLogFile(cleanLogFile);
  } catch (error) {
    log.error('clean-log-not-opened', error);
    return undefined;
  }
}

/**
 * The arguments of a clean with the same store, files and endpoint as this call. The clean runs in `/`, so that it keeps no
 * other directory busy; so every path is absolute.
 * @throws CLI_WORKING_DIRECTORY
 */
export function cleanArguments(settings: Settings): string[] {
  const flag = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value]);
  const file = (name: string, path: string | undefined) => flag(name, path && absolute(path));
  return [
    ...file('--config', settings.configFile),
    ...file('--extra-config', settings.extraConfigFile),
    ...file('--log-file', settings.create.cleanLogFile),
    ...['--log-level', settings.logLevel],
    ...['--store', settings.store],
    ...flag('--metron-endpoint', settings.metronEndpoint),
    ...file('--metrics-file', settings.metricsFile),
    ...['clean', '--threshold-bytes', String(settings.cleanThresholdBytes)],
  ];
}
