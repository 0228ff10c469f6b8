import { spawnSync } from 'node:child_process';
import type { RunProgram } from '../../lib/store/init/backing.ts';
import type { Environment } from '../settings/types.ts';

/** Formatting a large disk takes seconds; a program that hangs must not hang an operator's terminal for ever. */
const DEADLINE_MILLISECONDS = 600_000;

/** Runs a program to its end with a clean environment and without graft's descriptors. */
export function runProgram(env: Environment): RunProgram {
  return (program, args) => {
    const done = spawnSync(program, args, {
      env: env.forChildren,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DEADLINE_MILLISECONDS,
      killSignal: 'SIGKILL',
    });
    if (done.error) {
      const missing = (done.error as { code?: string }).code === 'ENOENT';
      return {
        ok: false,
        complaint: missing ? `${program} is not installed (package xfsprogs)` : done.error.message,
      };
    }
    if (done.status === 0) return { ok: true, complaint: '' };
    const said = `${done.stderr}${done.stdout}`;
    return { ok: false, complaint: said.trim() === '' ? howItEnded(program, done) : said };
  };
}

/** The complaint about a program that failed without output. */
function howItEnded(
  program: string,
  { status, signal }: { status: number | null; signal: string | null },
): string {
  return signal === null ? `${program} ended with exit code ${status}` : `${program} was ended by ${signal}`;
}
