import { hasCode } from './errno.ts';
import { readlinkAt } from './files.ts';
import { AT_FDCWD } from './libc.ts';
import { readText } from './read.ts';

/**
 * A process, named so that nobody is taken for it later: process ids are used again, start times within one
 * boot are not, and a process id means something only inside its pid namespace.
 */
export interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  readonly startTime: string;
  readonly bootId: string;
  /** `pid:[4026531836]` */
  readonly pidNamespace: string;
}

/** `unknown`: of another pid namespace, or /proc does not say. */
export type Liveness = 'alive' | 'dead' | 'unknown';

let self: Owner | undefined;

/** This process. Three small reads of /proc the first time, then remembered. */
export function owner(): Owner {
  self ??= {
    pid: process.pid,
    startTime: parseStat(readProc('/proc/self/stat'))?.startTime ?? '0',
    bootId: readProc('/proc/sys/kernel/random/boot_id').trim(),
    pidNamespace: readLink('/proc/self/ns/pid'),
  };
  return self;
}

export function isThisProcess(who: Owner): boolean {
  const me = owner();
  return who.pid === me.pid && who.startTime === me.startTime && isOfThisNamespace(who);
}

/** Its process id means the same here. */
export function isOfThisNamespace(who: Owner): boolean {
  return who.pidNamespace === owner().pidNamespace && who.bootId === owner().bootId && procIsOurs();
}

/** Another process of this pid namespace; undefined when it has ended. */
export function ownerOf(pid: number): Owner | undefined {
  try {
    const stat = parseStat(readProc(`/proc/${pid}/stat`));
    return stat && { ...owner(), pid, startTime: stat.startTime };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}

/** When in doubt a process is alive: only what is certainly dead loses its locks and leases. */
export function isAlive(who: Owner): boolean {
  return livenessOf(who) !== 'dead';
}

export function livenessOf(who: Owner): Liveness {
  const me = owner();
  if (who.bootId !== me.bootId) return 'dead';
  if (who.pidNamespace !== me.pidNamespace || !procIsOurs()) return 'unknown';
  let stat: Stat | undefined;
  try {
    stat = parseStat(readProc(`/proc/${who.pid}/stat`));
  } catch (error) {
    // ESRCH: it ended between the open and the read.
    return hasCode(error, 'ENOENT', 'ESRCH') ? 'dead' : 'unknown';
  }
  if (!stat) return 'unknown';
  if (stat.startTime !== who.startTime) return 'dead';
  // A zombie with threads left is still being killed; without, it waits for its parent and touches nothing.
  return 'ZXx'.includes(stat.state) && stat.threads <= 1 ? 'dead' : 'alive';
}

let ours: boolean | undefined;
/** A /proc that was mounted for another pid namespace numbers processes differently. */
function procIsOurs(): boolean {
  ours ??= readLink('/proc/self') === String(process.pid);
  return ours;
}

/** These files are one line. */
const PROC_BYTES = 4096;

function readProc(path: string): string {
  return readText(path, PROC_BYTES);
}

function readLink(path: string): string {
  return new TextDecoder().decode(readlinkAt(AT_FDCWD, path));
}

interface Stat {
  readonly state: string;
  readonly threads: number;
  readonly startTime: string;
}

/** proc_pid_stat(5). The second field is the program's name in brackets and may hold blanks and brackets. */
function parseStat(text: string): Stat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTime] = [fields[0], fields[17], fields[19]];
  if (!state || !threads || !startTime || !Number.isSafeInteger(Number(startTime))) return undefined;
  return { state, threads: Number(threads), startTime };
}

/** When this boot began, by today's clock: milliseconds since 1970. */
export function bootTimeMs(): number {
  return Date.now() - Number.parseFloat(readProc('/proc/uptime')) * 1000;
}

/** `<pid>.<start>.<pid namespace>.<boot id>`: an owner as a part of a file name. */
export function formatOwner(who: Owner): string {
  // Without its `pid:[` and `]`. No regular expressions here: the first use of one costs a short verb 30 µs.
  return `${who.pid}.${who.startTime}.${who.pidNamespace.slice(5, -1)}.${who.bootId}`;
}

const OWNER = /^(\d{1,10})\.(\d{1,20})\.(\d{1,20})\.([0-9a-f-]{36})$/;

/** Undefined for a name that `formatOwner` did not make. */
export function parseOwner(text: string): Owner | undefined {
  const match = OWNER.exec(text);
  if (!match) return undefined;
  const [, pid = '', startTime = '', namespace = '', bootId = ''] = match;
  return { pid: Number(pid), startTime, pidNamespace: `pid:[${namespace}]`, bootId };
}
