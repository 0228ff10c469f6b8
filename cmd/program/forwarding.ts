/** Signals of `run`: before its process runs they stop the work, and afterwards they are the process's. */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { Running } from '../../lib/runtime/runtime.ts';
import { SIGNALS, type StopSignal } from './signals.ts';

const OTHERS = ['SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCONT'] as const;
/** A process may ignore signals, as the first one of a pid namespace does unless it handles them. */
const GIVE_UP_AT = 3;

export class Forwarding {
  readonly #controller = new AbortController();
  #running: Running | undefined;
  #stops = 0;

  constructor() {
    for (const name of Object.keys(SIGNALS) as StopSignal[]) process.on(name, () => this.#stop(name));
    for (const name of OTHERS) process.on(name, () => this.#running?.send(name));
  }

  /** Aborted by SIGHUP, SIGINT or SIGTERM before the process runs. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on signals go to this process. The third one that asks it to stop ends the container. */
  to(running: Running): void {
    this.#running = running;
  }

  #stop(name: StopSignal): void {
    this.#stops += 1;
    if (this.#running === undefined)
      this.#controller.abort(new PluginError('CLI_INTERRUPTED', { signal: name }));
    else if (this.#stops < GIVE_UP_AT) this.#running.send(name);
    else this.#running.end();
  }
}
