/** The state-changing system calls that a run really made, as strace saw them. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnv, type Ran, run } from '../shell.ts';

/** Calls that change nothing on a disk, whatever they are given. */
const READS = new Set(
  `access close epoll_ctl faccessat faccessat2 fadvise64 fchdir fcntl fgetxattr flistxattr fstat fstatfs getcwd
  getdents64 getxattr inotify_add_watch lgetxattr listxattr llistxattr lseek lstat mmap munmap newfstatat pread64 read
  readlink readlinkat stat statfs statx execve`.split(/\s+/),
);
const CREATES = /O_CREAT|O_TRUNC|O_TMPFILE/;
/** Requests of ioctl(2) and quotactl(2) that only ask. */
const ASKS = /_IOC_FSGETXATTR|LOOP_GET_STATUS|TCGETS|FIONREAD|Q_XGET/;

/** How often each state-changing call touched the place, by name; `ioctl REQUEST` for ioctl(2). */
export type Calls = Readonly<Record<string, number>>;

/**
 * Runs a program and returns which calls of its own threads changed what lies below `place`, or a loop device. A
 * call that is not known to be harmless counts as changing.
 */
export async function changesOf(
  command: readonly string[],
  place: string,
  scratch: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ ran: Ran; calls: Calls }> {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch);
  const options = ['-ff', '-y', '-qq', '-s', '4096', '-o', join(scratch, 'trace')];
  const ran = await run('strace', [...options, '--', ...command], { env: cleanEnv(env) });
  const lines = readdirSync(scratch)
    .map((file) => readFileSync(join(scratch, file), 'latin1'))
    .filter((trace) => !isOtherProgram(trace, command[0] ?? ''))
    .flatMap((trace) => trace.split('\n'));
  const names = lines.filter((line) => touches(line, place)).flatMap(changing);
  return { ran, calls: countOf(names) };
}

function touches(line: string, place: string): boolean {
  // What is written is data, and may be a path.
  const call = line.startsWith('write(') ? line.slice(0, line.indexOf(', "')) : line;
  // Where an absolute path follows, the working directory plays no part.
  const paths = call.replace(/AT_FDCWD<[^>]*>, "\//g, 'AT_FDCWD, "/');
  return paths.includes(place) || call.includes('LOOP_');
}

/** mkfs.xfs and its like, which the program starts. */
function isOtherProgram(trace: string, command: string): boolean {
  const [, started] = /^execve\("([^"]*)"/m.exec(trace) ?? [];
  return started !== undefined && started !== command;
}

function changing(line: string): string[] {
  const [, name = '', rest = ''] = /^(\w+)\((.*)$/.exec(line) ?? [];
  // A signal came first; the kernel makes the call again, and that is another line.
  if (name === '' || READS.has(name) || / = \? ERESTART/.test(line) || ASKS.test(line)) return [];
  if (/^open(at|at2)?$/.test(name) && !CREATES.test(rest)) return [];
  if (name !== 'ioctl') return [name];
  return [`ioctl ${/, ([A-Z0-9_]+)/.exec(rest)?.[1] ?? rest}`];
}

export function countOf(names: readonly string[]): Calls {
  const calls: Record<string, number> = {};
  for (const name of [...names].sort()) calls[name] = (calls[name] ?? 0) + 1;
  return calls;
}
