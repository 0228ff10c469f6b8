/** Server programs for tests: started on loopback, waited for, ended by their process id. */
import { existsSync } from 'node:fs';
import type { Subprocess } from 'bun';
import { cleanEnv } from '../shell.ts';

export interface ServerOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ports of 127.0.0.1 that answer when the server is ready. */
  readonly ports: readonly number[];
  /** Files that are there when it is ready, for servers whose ports cannot be seen from here. */
  readonly files?: readonly string[];
  /** What it says when it is ready. */
  readonly says?: RegExp;
}

export interface RunningServer extends AsyncDisposable {
  /** All it has said so far. */
  output(): string;
  stop(): Promise<void>;
  /** As a crash does. */
  kill(): Promise<void>;
}

const START_MS = 20_000;
const STOP_MS = 5_000;

/** Starts a program that stays in the foreground. @throws Error with its output when it does not come up. */
export async function startServer(
  command: readonly string[],
  options: ServerOptions,
): Promise<RunningServer> {
  const child = Bun.spawn([...command], {
    cwd: options.cwd,
    env: options.env ?? cleanEnv(),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    detached: true,
  });
  const said: string[] = [];
  const reading = Promise.all([keep(child.stdout, said), keep(child.stderr, said)]);
  const stop = async () => {
    await end(child);
    await reading;
  };
  try {
    for (const port of options.ports) await until(() => connects(port), `port ${port} answers`, child, said);
    for (const file of options.files ?? [])
      await until(() => existsSync(file), `${file} is there`, child, said);
    const { says } = options;
    if (says) await until(() => says.test(said.join('')), `it says ${says}`, child, said);
  } catch (error) {
    await stop();
    throw error;
  }
  const kill = async () => {
    process.kill(-child.pid, 'SIGKILL');
    await child.exited;
    await reading;
  };
  return { output: () => said.join(''), stop, kill, [Symbol.asyncDispose]: stop };
}

async function keep(stream: ReadableStream<Uint8Array>, said: string[]): Promise<void> {
  for await (const chunk of stream) said.push(Buffer.from(chunk).toString('utf8'));
}

async function end(child: Subprocess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // The group: `ip netns exec` may stand in between.
  process.kill(-child.pid, 'SIGTERM');
  const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), STOP_MS);
  await child.exited;
  clearTimeout(timer);
}

/** Polls: nothing else says that a server is ready. */
async function until(
  ready: () => boolean | Promise<boolean>,
  what: string,
  child: Subprocess,
  said: readonly string[],
): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(await ready())) {
    if (child.exitCode !== null) throw new Error(`a server exits ${child.exitCode}\n${said.join('')}`);
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}\n${said.join('')}`);
    await Bun.sleep(20);
  }
}

async function connects(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}
