/** Stopping and failing the program at every state-changing call, with the build made for it. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { executable } from '../graft.ts';
import { cleanEnv, type Ran, run } from '../shell.ts';

/** One state-changing call of a run. */
export interface FaultPoint {
  /** `main`, `worker1` … */
  readonly thread: string;
  readonly number: number;
  readonly syscall: string;
  readonly path: string;
  /** False for a call that the kernel refused: there is nothing to stop after. */
  readonly done: boolean;
}

/** A point as failure messages name it. */
export function pointName({ thread, number, syscall, path }: FaultPoint): string {
  return `${thread}:${number} ${syscall} ${path}`;
}

/** Runs a verb of the fault-injection build. `plan` as lib/sys/kernel/fault.ts reads it; none runs it undisturbed. */
export function graftWithFault(args: readonly string[], plan?: string): Promise<Ran> {
  return run(executable('graft-faults'), args, {
    env: cleanEnv(plan === undefined ? {} : { GRAFT_FAULT: plan }),
  });
}

/** Every point that an undisturbed run passes. */
export async function countPoints(args: readonly string[], scratch: string): Promise<FaultPoint[]> {
  rmSync(scratch, { force: true });
  const ran = await graftWithFault(args, `count:${scratch}`);
  if (ran.code !== 0) throw new Error(`${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
  return readPoints(scratch);
}

type Line = readonly [thread: string, number: number, syscall?: string, path?: string];

/** What the plan `count:FILE` wrote. */
export function readPoints(file: string): FaultPoint[] {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  const calls = lines.map((line) => JSON.parse(line) as Line);
  const done = new Set(
    calls.flatMap(([thread, number, syscall]) => (syscall === undefined ? [`${thread}:${number}`] : [])),
  );
  return calls.flatMap(([thread, number, syscall, path = '']) =>
    syscall === undefined ? [] : [{ thread, number, syscall, path, done: done.has(`${thread}:${number}`) }],
  );
}
