/** Real programs, run as a user would: with a deadline, and with everything they said when they fail. */
import { fileURLToPath } from 'node:url';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface RunOptions {
  readonly cwd?: string;
  /** The whole environment of the child; PATH, HOME and LC_ALL alone where it is left out. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** Milliseconds until the process is killed and `run` throws; 120 s where it is left out. */
  readonly timeoutMs?: number;
}

export interface Ran {
  /** Exit status; 128 + signal number where a signal ended it, as a shell counts. */
  readonly code: number;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/** The environment a test's child gets: nothing of the developer's own (proxies, TMPDIR, BUN_*). */
export function cleanEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: process.env['HOME'] ?? '/root',
    LC_ALL: 'C',
    ...extra,
  };
}

/** Runs a program to its end and returns how it ended. @throws Error when the deadline passes. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const limit = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const child = Bun.spawn([command, ...args], {
    cwd: options.cwd ?? PROJECT,
    env: options.env ?? cleanEnv(),
    stdin: options.stdin === undefined ? 'ignore' : Buffer.from(options.stdin),
    stdout: 'pipe',
    stderr: 'pipe',
    // A process group of its own, so that a deadline ends its children too.
    detached: true,
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  // Waiting for the end of both pipes too: a grandchild that keeps one open is seen, not lost.
  const ended = Promise.all([child.exited, stdout.done, stderr.done]);
  if (!(await within(ended, limit))) {
    process.kill(-child.pid, 'SIGKILL');
    throw new Error(
      `${describe(command, args)} did not end in ${limit} ms\n${stdout.text()}${stderr.text()}`,
    );
  }
  const signal = child.signalCode === null ? undefined : String(child.signalCode);
  return { code: await child.exited, signal, stdout: stdout.text(), stderr: stderr.text() };
}

/** `run` for programs that must succeed: returns their stdout. @throws Error with all output otherwise. */
export async function must(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const ran = await run(command, args, options);
  if (ran.code !== 0) {
    throw new Error(`${describe(command, args)} exits ${ran.code}\n${ran.stdout}${ran.stderr}`);
  }
  return ran.stdout;
}

/** A script of `sh -e`, with `$1`, `$2` … from `args`: for the few lines that are clearest in shell. */
export function sh(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
  return must('/bin/sh', ['-euc', script, 'sh', ...args], options);
}

/** `run` in a mount namespace of its own: nothing it mounts is seen outside, and all of it goes when it ends. */
export function runPrivately(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  return run('unshare', ['--mount', '--propagation', 'private', '--', command, ...args], options);
}

function describe(command: string, args: readonly string[]): string {
  return [command, ...args].join(' ');
}

function collect(stream: ReadableStream<Uint8Array>): { done: Promise<void>; text(): string } {
  const chunks: Uint8Array[] = [];
  const read = async () => {
    for await (const chunk of stream) chunks.push(chunk);
  };
  return { done: read(), text: () => Buffer.concat(chunks).toString('utf8') };
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, ms, false);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
