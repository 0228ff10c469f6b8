/**
 * Races programs against each other: interleaved, so that a slow moment of the machine hits all of them, and
 * compared by their minima, which are what the program costs where the machine adds least. CPU is user and
 * system time of the process and the children it waited for (wait4(2)), and says more than wall time.
 */
import { writeSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { cleanEnv } from '../support/shell.ts';
import { kernelThreadsMs } from './kernel-threads.ts';

export interface Contestant {
  readonly name: string;
  /** The command of one round. */
  argv(round: number): readonly string[];
  /** Runs before each round, unmeasured. */
  before?(round: number): Promise<void>;
}

export interface Measured {
  readonly name: string;
  readonly cpuMs: number;
  readonly wallMs: number;
  /** Of the kernel's threads meanwhile, on the whole machine. */
  readonly threadsMs: number;
}

/** Runs all contestants `rounds` times, in turn. @throws Error when one of them fails: a failure has no time. */
export async function race(contestants: readonly Contestant[], rounds: number): Promise<Measured[]> {
  const best = contestants.map(({ name }) => ({
    name,
    cpuMs: Infinity,
    wallMs: Infinity,
    threadsMs: Infinity,
  }));
  // The first round fills caches and is thrown away.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, contestant] of contestants.entries()) {
      await contestant.before?.(round);
      const before = kernelThreadsMs();
      const { cpuMs, wallMs } = measure(contestant.argv(round));
      const entry = best[index];
      if (entry === undefined || round === 0) continue;
      entry.threadsMs = Math.min(entry.threadsMs, kernelThreadsMs() - before);
      entry.cpuMs = Math.min(entry.cpuMs, cpuMs);
      entry.wallMs = Math.min(entry.wallMs, wallMs);
    }
  }
  return best;
}

/** What the second contestant costs more than the first, in milliseconds, a figure for each pair of runs. */
export interface Differences {
  readonly cpuMs: readonly number[];
  readonly wallMs: readonly number[];
}

/** Runs two contestants in turn, the one before the other in every second pair. */
export async function pairs(
  contestants: readonly [Contestant, Contestant],
  rounds: number,
): Promise<Differences> {
  const cpuMs: number[] = [];
  const wallMs: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const measured = [0, 0].map(() => ({ cpuMs: 0, wallMs: 0 }));
    for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const contestant = contestants[index];
      if (contestant === undefined) continue;
      await contestant.before?.(round);
      measured[index] = measure(contestant.argv(round));
    }
    const [first, second] = measured;
    if (first === undefined || second === undefined || round === 0) continue;
    cpuMs.push(second.cpuMs - first.cpuMs);
    wallMs.push(second.wallMs - first.wallMs);
  }
  return { cpuMs, wallMs };
}

/** The median with its interval of 95 % confidence, by the order of the values alone. */
export function median(values: readonly number[]): string {
  const sorted = values.toSorted((one, other) => one - other);
  const half = (1.96 * Math.sqrt(sorted.length)) / 2;
  const at = (rank: number) =>
    (sorted[Math.max(0, Math.min(sorted.length - 1, Math.round(rank)))] ?? 0).toFixed(2);
  const middle = (sorted.length - 1) / 2;
  return `${at(middle)} ms (${at(middle - half)} to ${at(middle + half)})`;
}

/** Milliseconds of one run. @throws Error with its output when it fails */
export function measure(argv: readonly string[]): { cpuMs: number; wallMs: number } {
  const started = Bun.nanoseconds();
  const ran = Bun.spawnSync([...argv], { env: cleanEnv(), stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const wallMs = (Bun.nanoseconds() - started) / 1e6;
  if (ran.exitCode !== 0)
    throw new Error(`${argv.join(' ')} exits ${ran.exitCode}\n${ran.stdout}${ran.stderr}`);
  return { cpuMs: Number(ran.resourceUsage.cpuTime.total) / 1000, wallMs };
}

/** The same with the time of the kernel's threads as CPU, where the machine does nothing else. */
export function withThreads(results: readonly Measured[]): Measured[] {
  return results.map((one) => ({ ...one, cpuMs: one.cpuMs + one.threadsMs }));
}

/** The results as a table, with ratios to the one named `yardstick`. */
export function table(title: string, results: readonly Measured[], yardstick: string): string {
  const base = results.find(({ name }) => name === yardstick);
  if (base === undefined) throw new Error(`no contestant is called ${yardstick}`);
  const rows = results.map(({ name, cpuMs, wallMs }) => [
    name,
    cpuMs.toFixed(1),
    (cpuMs / base.cpuMs).toFixed(2),
    wallMs.toFixed(1),
    (wallMs / base.wallMs).toFixed(2),
  ]);
  const all = [['', 'CPU ms', 'ratio', 'wall ms', 'ratio'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return [title, ...all.map((row) => `  ${line(row)}`)].join('\n');
}

export function machine(): string {
  const [first] = cpus();
  return `Linux ${release()}, ${cpus().length} × ${first?.model ?? 'unknown processor'}`;
}

export function say(text: string): void {
  writeSync(1, `${text}\n`);
}

/** How often a benchmark runs: `$BENCH_ROUNDS`, else its own number. */
export function rounds(usual: number): number {
  const given = Number(process.env['BENCH_ROUNDS'] ?? usual);
  if (!Number.isInteger(given) || given < 1) throw new Error('BENCH_ROUNDS must be a whole number above 0');
  return given;
}
