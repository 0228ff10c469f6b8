import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { listProjects, quotaSupport } from '../lib/sys/mounts/quota.ts';

/** Resources that a store may leak outside of itself: descriptors, processes, loop devices, project ids. */
export function leftovers(store: string): string[] {
  return [...processes(store), ...loops(store), ...projects(store)];
}

/** Processes that have something of the store open, or were started for it. */
export function processes(store: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = orNothing(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')).replaceAll('\0', ' ');
      if (command.includes(` ${store} `)) return [`process ${pid} ${command}`];
      const open = orNothing(() => readdirSync(`/proc/${pid}/fd`).join(' '))
        .split(' ')
        .map((fd) => orNothing(() => readlinkSync(`/proc/${pid}/fd/${fd}`)));
      return open.filter((path) => path.startsWith(store)).map((path) => `process ${pid} has ${path} open`);
    });
}

/** The result of `read`, or nothing for a process that has ended in between. */
function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

/** Only the one that the store itself is on, as long as it is mounted. */
function loops(store: string): string[] {
  const backing = (name: string) =>
    orNothing(() => readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim());
  const found = readdirSync('/sys/block').filter((name) => backing(name).startsWith(store));
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${store} `);
  return found.length > (mounted ? 1 : 0) ? found.map((name) => `loop device ${name}`) : [];
}

function projects(store: string): string[] {
  try {
    if (!quotaSupport(store).supported) return [];
  } catch {
    return [];
  }
  return [...listProjects({ path: store })].flatMap(({ id, usage }) =>
    id > 1 && (usage.limitBytes > 0 || usage.usedBytes > 0)
      ? [`project id ${id} with ${JSON.stringify(usage)}`]
      : [],
  );
}
