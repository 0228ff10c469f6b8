/** Many processes at once, and what they cost together. */
import { cleanEnv } from '../support/shell.ts';

export interface CrowdCost {
  /** User and system time of all of them. */
  readonly cpuMs: number;
  /** From the first start to the last end. */
  readonly wallMs: number;
  /** Everything they wrote to stderr. */
  readonly log: string;
}

/** Starts all commands before it waits for any. @throws Error with the output of one that fails */
export async function crowd(commands: readonly (readonly string[])[]): Promise<CrowdCost> {
  const started = performance.now();
  const costs = await Promise.all(commands.map(cost));
  return {
    cpuMs: costs.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    wallMs: performance.now() - started,
    log: costs.map(({ log }) => log).join(''),
  };
}

/** The same commands one after the other. */
export async function queue(commands: readonly (readonly string[])[]): Promise<CrowdCost> {
  const started = performance.now();
  let [cpuMs, log] = [0, ''];
  for (const command of commands) {
    const one = await cost(command);
    cpuMs += one.cpuMs;
    log += one.log;
  }
  return { cpuMs, wallMs: performance.now() - started, log };
}

async function cost(command: readonly string[]): Promise<{ cpuMs: number; log: string }> {
  const child = Bun.spawn([...command], {
    env: cleanEnv(),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [said, log, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(' ')} exits ${code}\n${said}${log}`);
  return { cpuMs: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000, log };
}
