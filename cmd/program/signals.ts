import { PluginError } from '../../lib/base/errors/error.ts';

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type StopSignal = keyof typeof SIGNALS;

/** The call's own signal: the first SIGTERM, SIGINT or SIGHUP aborts it, and the verb undoes what it began. */
export interface Stop {
  readonly signal: AbortSignal;
  /** What stopped it, as a shell counts exit codes; undefined while nothing has. */
  exitCode(): number | undefined;
}

/** @param giveUp runs at the second signal: somebody insists, so nothing is undone any more. */
export function listenForStop(giveUp: (exitCode: number) => void): Stop {
  const controller = new AbortController();
  let stoppedBy: StopSignal | undefined;
  const exitCode = () => (stoppedBy === undefined ? undefined : 128 + SIGNALS[stoppedBy]);
  for (const name of Object.keys(SIGNALS) as StopSignal[])
    process.on(name, () => {
      if (stoppedBy !== undefined) giveUp(128 + SIGNALS[name]);
      stoppedBy = name;
      controller.abort(new PluginError('CLI_INTERRUPTED', { signal: name }));
    });
  return { signal: controller.signal, exitCode };
}
