import { hasCode } from './errno.ts';
import { readlinkAt } from './files.ts';
import { AT_FDCWD } from './libc.ts';
import { readText } from './read.ts';

/**
 * A process, named so that no other process is ever taken for it. The kernel reuses process ids, but start times do not
 * repeat within one boot. A process id has a meaning only inside its pid namespace.
 */
export interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  readonly startTime: string;
  readonly bootId: string;
  /** `pid:[4026531836]` */
  readonly pidNamespace: string;
}

/** `unknown`: the process is in another pid namespace, or /proc gives no answer. */
export type Liveness = 'alive' | 'dead' | 'unknown';

let self: Owner | undefined;

/** This process. The first call makes three small reads of /proc; later calls return the same result. */
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

/** Returns true when the process id of `who` means the same process in this pid namespace. */
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

/** Returns true also when in doubt: only a process that is certainly dead loses its locks and leases. */
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
    // ESRCH: the process ended between the open and the read.
    return hasCode(error, 'ENOENT', 'ESRCH') ? 'dead' : 'unknown';
  }
  if (!stat) return 'unknown';
  if (stat.startTime !== who.startTime) return 'dead';
  // A zombie with other threads is still being killed. A zombie without them changes nothing any more; it waits for its
  // parent.
  return 'ZXx'.includes(stat.state) && stat.threads <= 1 ? 'dead' : 'alive';
}

let ours: boolean | undefined;
/** Returns false when /proc was mounted for another pid namespace, where the numbers mean other processes. */
function procIsOurs(): boolean {
  ours ??= readLink('/proc/self') === String(process.pid);
  return ours;
}

/** Size limit for a file of /proc. These files have one line. */
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

/** proc_pid_stat(5). The second field is the program's name in brackets, and may itself contain blanks and brackets. */
function parseStat(text: string): Stat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTime] = [fields[0], fields[17], fields[19]];
  if (!state || !threads || !startTime || !Number.isSafeInteger(Number(startTime))) return undefined;
  return { state, threads: Number(threads), startTime };
}

/** When this boot began, by the current clock: milliseconds since 1970. */
export function bootTimeMs(): number {
  return Date.now() - Number.parseFloat(readProc('/proc/uptime')) * 1000;
}

/** An owner as a part of a file name: `<pid>.<start>.<pid namespace>.<boot id>`. */
export function formatOwner(who: Owner): string {
  // Without its `pid:[` and `]`. Not by a regular expression, whose first use costs a short verb 30 µs.
  return `${who.pid}.${who.startTime}.${who.pidNamespace.slice(5, -1)}.${who.bootId}`;
}

const OWNER = /^(\d{1,10})\.(\d{1,20})\.(\d{1,20})\.([0-9a-f-]{36})$/;

/** The owner in a name that `formatOwner` made; undefined for any other name. */
export function parseOwner(text: string): Owner | undefined {
  const match = OWNER.exec(text);
  if (!match) return undefined;
  const [, pid = '', startTime = '', namespace = '', bootId = ''] = match;
  return { pid: Number(pid), startTime, pidNamespace: `pid:[${namespace}]`, bootId };
}
