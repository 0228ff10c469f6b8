import { join } from 'node:path';
import { cleanEnv } from '../../../../support/shell.ts';

const ACTOR = join(import.meta.dir, 'actor.ts');
const PATIENCE_MS = 60_000;

/** A running actor, ended with its block. */
export interface Actor extends AsyncDisposable {
  readonly pid: number;
  /** Waits for a line of its output. @throws Error when it ends first or takes too long. */
  line(wanted: string): Promise<void>;
  /** The lines so far. */
  lines(): string[];
  signal(name: NodeJS.Signals): void;
  endStdin(): void;
  /** Waits for its end and returns its exit code; 128 + signal where one ended it. */
  ended(): Promise<number>;
}

export function actor(role: string, ...args: string[]): Actor {
  return start([process.execPath, ACTOR, role, ...args]);
}

/** The same behind another program: `unshare --pid --fork --`. */
export function actorUnder(prefix: readonly string[], role: string, ...args: string[]): Actor {
  return start([...prefix, process.execPath, ACTOR, role, ...args]);
}

function start(command: string[]): Actor {
  const child = Bun.spawn(command, {
    env: cleanEnv({ TMPDIR: process.env['TMPDIR'] ?? '/tmp' }),
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  let text = '';
  let changed = Promise.withResolvers<void>();
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      changed.resolve();
      changed = Promise.withResolvers<void>();
    }
  })();
  const lines = () => text.split('\n').slice(0, -1);
  const line = async (wanted: string) => {
    const deadline = performance.now() + PATIENCE_MS;
    while (!lines().includes(wanted)) {
      const over = await Promise.race([
        changed.promise.then(() => false),
        reading.then(() => true),
        Bun.sleep(deadline - performance.now()).then(() => true),
      ]);
      if (over && !lines().includes(wanted)) throw new Error(`no line "${wanted}" in:\n${text}`);
    }
  };
  const ended = async () => {
    await reading;
    return child.exited;
  };
  return {
    pid: child.pid,
    line,
    lines,
    signal: (name) => child.kill(name),
    endStdin: () => void child.stdin.end(),
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}
