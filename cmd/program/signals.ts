import { PluginError } from '../../lib/base/errors/error.ts';

export const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
export type StopSignal = keyof typeof SIGNALS;

/** The abort signal of the call. The first SIGTERM, SIGINT or SIGHUP aborts it, and the verb then undoes its work. */
export interface Stop {
  readonly signal: AbortSignal;
  /** 128 plus the number of the signal, as in shells; undefined before a signal. */
  exitCode(): number | undefined;
}

/** 128 plus the number of a signal, as in shells. */
export function stopCodeOf(signal: string): number {
  return 128 + (SIGNALS[signal as StopSignal] ?? 0);
}

/** @param giveUp is called at the second signal and exits at once, without undoing the work */
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
