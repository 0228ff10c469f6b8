import { SysError } from './errno.ts';

/** Set by `--define` in the build for fault-injection tests, and in no other build. */
declare const GRAFT_FAULTS: boolean;
const ON = typeof GRAFT_FAULTS !== 'undefined' && GRAFT_FAULTS;

/**
 * The environment variable `GRAFT_FAULT` of that build: plans separated by blanks. Each plan names its thread (`main`,
 * `worker1`, `worker2` and so on, in the order in which they were started), and each thread counts its own calls:
 *   kill:THREAD:N        SIGKILL after the Nth state-changing call
 *   fail:THREAD:N:ERRNO  the Nth call fails with this number, without being made
 *   stop:THREAD:N:TEXT   SIGSTOP before the Nth call with this text in its name and path
 *   count:FILE           a line of JSON for every call: thread, number, system call, path; a second when it is done
 */
const plans = ON ? (process.env['GRAFT_FAULT'] ?? '').split(' ').map(parsePlan) : [];
const thread = ON ? nameOfThread() : '';
let calls = 0;

interface Plan {
  readonly what: string;
  readonly where: string;
  readonly number: number;
  readonly more: string;
  seen: number;
}

function parsePlan(text: string): Plan {
  const [what = '', where = '', number = '', more = ''] = text.split(':');
  return { what, where, number: Number(number), more, seen: 0 };
}

function nameOfThread(): string {
  return Bun.isMainThread ? 'main' : `worker${require('node:worker_threads').threadId}`;
}

function planned(what: string): Plan | undefined {
  return plans.find((plan) => plan.what === what && plan.where === thread && plan.number === calls);
}

function note(line: unknown): void {
  for (const plan of plans)
    if (plan.what === 'count') require('node:fs').appendFileSync(plan.where, `${JSON.stringify(line)}\n`);
}

function stopBefore(call: string): void {
  for (const plan of plans) {
    if (plan.what !== 'stop' || plan.where !== thread || !call.includes(plan.more)) continue;
    plan.seen += 1;
    if (plan.seen === plan.number) process.kill(process.pid, 'SIGSTOP');
  }
}

export function faultBefore(syscall: string, path: string | Uint8Array): void {
  if (!ON) return;
  calls += 1;
  note([thread, calls, syscall, String(path)]);
  stopBefore(`${syscall} ${path}`);
  const fail = planned('fail');
  if (fail) throw new SysError(Number(fail.more), syscall, String(path));
}

export function faultAfter(): void {
  if (!ON) return;
  note([thread, calls]);
  if (planned('kill')) process.kill(process.pid, 'SIGKILL');
}
