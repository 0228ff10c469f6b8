import { executable } from '../test/support/graft.ts';
import { cleanEnv } from '../test/support/shell.ts';
import type { Figures } from './soak-figures.ts';
import { processes } from './soak-leftovers.ts';

export interface Done {
  readonly code: number;
  readonly stdout: string;
}

export interface Stop {
  readonly afterMs: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
}

/** A verb that takes longer hangs. */
const HANGS: Stop = { afterMs: 120_000, signal: 'SIGKILL' };
const MiB = 1024 * 1024;

/** The program on one store, each run of it counted. */
export class Program {
  readonly store: string;
  readonly #figures: Figures;

  constructor(store: string, figures: Figures) {
    this.store = store;
    this.#figures = figures;
  }

  /** Runs a verb, and perhaps stops it before it has ended. */
  async run(args: readonly string[], stop: Stop = HANGS): Promise<Done> {
    const verb = args[0] ?? '';
    const started = performance.now();
    const child = Bun.spawn([executable(), '--store', this.store, ...args], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let stopped = false;
    const timer = setTimeout(() => {
      stopped = true;
      child.kill(stop.signal);
    }, stop.afterMs);
    const stdout = await new Response(child.stdout).text();
    const code = await child.exited;
    clearTimeout(timer);
    const usage = child.resourceUsage();
    if (!stopped && usage) {
      this.#figures.took({
        verb,
        milliseconds: performance.now() - started,
        cpuMilliseconds: Number(usage.cpuTime.total) / 1000,
        peakMiB: usage.maxRSS / MiB,
      });
    }
    if (stopped && stop !== HANGS) this.#figures.killed();
    else if (code !== 0) this.#figures.failed(verb, stopped ? 'it hangs' : stdout);
    return { code, stdout };
  }

  /** Waits for the cleans that creates have started. */
  async quiet(): Promise<void> {
    const end = performance.now() + HANGS.afterMs;
    while (processes(this.store).length > 0 && performance.now() < end) await Bun.sleep(50);
  }
}
