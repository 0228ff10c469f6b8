import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of /proc are hundredths of a second on all machines that graft runs on (USER_HZ). */
const MS_A_TICK = 10;
const KTHREADD = '2';

/**
 * Milliseconds that the kernel's threads have run: what is written back, and what a filesystem or a loop device does for a
 * program, is no program's time. It is the whole machine's.
 */
export function kernelThreadsMs(): number {
  let ticks = 0;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = statOf(pid);
    if (stat === undefined || stat[1] !== KTHREADD) continue;
    ticks += Number(stat[11]) + Number(stat[12]);
  }
  return ticks * MS_A_TICK;
}

/** The fields behind the name, the state first; undefined for a process that has ended. */
function statOf(pid: string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
