/**
 * Runs a program as Garden runs its image plugin: as root, in a process group of its own, stdin /dev/null, stdout
 * and stderr pipes, the environment inherited whole, and done only when both pipes are at their end.
 *
 * The pipes are in packet mode (pipe(2), O_DIRECT): each write(2) of up to 4096 bytes arrives as one read, and a
 * larger one in pieces. So what Garden would see torn on a busy day is seen torn here every time.
 */
import { closeSync, read } from 'node:fs';
import { readCapacity, readCreate, readStats } from './answers.ts';
import { PACKETS, pipe } from './pipe.ts';
import { READ_BYTES, type Relogged, relog } from './relog.ts';

export interface GardenRun {
  readonly exitCode: number;
  readonly stdout: string;
  /** One entry a read, which is one write of the program. */
  readonly stderrReads: readonly Uint8Array[];
  /** Milliseconds from the start until both pipes were at their end. */
  readonly milliseconds: number;
  /** What Garden logs; throws where Garden would have died. */
  relogged(): Relogged[];
}

export interface GardenOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with the program's pid as soon as it runs. */
  readonly started?: (pid: number) => void;
}

/** Garden's own environment on a Diego cell, as far as a plugin could trip over it. */
export const CELL_ENV: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'en_US.UTF-8',
  MAXIMUS: '4294967294',
  PIDFILE: '/var/vcap/sys/run/garden/garden.pid',
};

export async function runLikeGarden(
  argv: readonly string[],
  options: GardenOptions = {},
): Promise<GardenRun> {
  const started = performance.now();
  const [stdout, stderr] = [pipe(PACKETS), pipe(PACKETS)];
  const child = Bun.spawn([...argv], {
    env: options.env ?? CELL_ENV,
    cwd: options.cwd ?? '/',
    stdio: ['ignore', stdout[1], stderr[1]],
    detached: true,
  });
  options.started?.(child.pid);
  // Both ends of the caller are closed in it, or the end of the pipe would never come.
  closeSync(stdout[1]);
  closeSync(stderr[1]);
  const [out, stderrReads, exitCode] = await Promise.all([
    readToEnd(stdout[0]),
    readToEnd(stderr[0]),
    child.exited,
  ]);
  return {
    exitCode,
    stdout: Buffer.concat(out).toString('utf8'),
    stderrReads,
    milliseconds: performance.now() - started,
    relogged: () => relog(stderrReads),
  };
}

/** Garden's answers, or its error: `running image plugin create: <stdout>: exit status N`. */
export const garden = {
  create: async (argv: readonly string[], options?: GardenOptions) => readCreate(await answer(argv, options)),
  stats: async (argv: readonly string[], options?: GardenOptions) => readStats(await answer(argv, options)),
  capacity: async (argv: readonly string[], options?: GardenOptions) =>
    readCapacity(await answer(argv, options)),
  delete: async (argv: readonly string[], options?: GardenOptions): Promise<void> => {
    await answer(argv, options);
  },
};

async function answer(argv: readonly string[], options?: GardenOptions): Promise<string> {
  const run = await runLikeGarden(argv, options);
  run.relogged();
  if (run.exitCode !== 0) throw new Error(`running image plugin: ${run.stdout}: exit status ${run.exitCode}`);
  return run.stdout;
}

async function readToEnd(fd: number): Promise<Uint8Array[]> {
  const reads: Uint8Array[] = [];
  try {
    for (;;) {
      const chunk = await readOnce(fd);
      if (chunk.length === 0) return reads;
      reads.push(chunk);
    }
  } finally {
    closeSync(fd);
  }
}

function readOnce(fd: number): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const buffer = new Uint8Array(READ_BYTES);
  read(fd, buffer, 0, buffer.length, null, (error, length) => {
    if (error) reject(error);
    else resolve(buffer.subarray(0, length));
  });
  return promise;
}
