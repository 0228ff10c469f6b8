/**
 * Finds the directories below another that are in use: mounted, or open in a process. A directory without a record is
 * deleted only after this check. The check reads all of /proc, which takes some ten milliseconds.
 */
import { byteName } from '../../base/bytes.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { readlinkAt } from '../kernel/files.ts';
import { AT_FDCWD } from '../kernel/libc.ts';
import { listNames } from '../kernel/look.ts';
import { readFile } from '../kernel/read.ts';
import { utf8 } from '../kernel/utf8.ts';
import { type Mount, mountOf, parseMountinfo } from './mountinfo.ts';
import { realPath } from './mounts-below.ts';

export interface Use {
  readonly kind: 'mount' | 'process';
  /** The process that has the directory open, or a process that sees the mount. */
  readonly pid: number;
}

/** Size limit for a table of mounts. 500 overlays with 500 lowers each have 15 MB of lines (mountinfo.ts). */
const MAX_TABLE_BYTES = 1 << 30;

/**
 * Uses by the first name below `directory`. If a name has both kinds of use, the process is returned. Files that this
 * process has open do not count. The function reads the mounts of every mount namespace: a runtime may mount the root
 * filesystem in a namespace of its own, and no other namespace shows that mount.
 */
export function usesBelow(directory: string): Map<string, Use> {
  const uses = new Map<string, Use>();
  const places = placesOf(directory);
  const seen = new Set<string>();
  for (const name of listNames('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    for (const found of mountedIn(pid, places, seen))
      if (!uses.has(found)) uses.set(found, { kind: 'mount', pid });
    if (pid === process.pid) continue;
    for (const found of openIn(pid, places)) uses.set(found, { kind: 'process', pid });
  }
  return uses;
}

interface Places {
  /** The paths of the directory, each with a slash at its end. */
  readonly paths: readonly string[];
  readonly device: string;
  /** The path of the directory from the root of its filesystem, with a slash at its end. */
  readonly inside: string;
}

function placesOf(directory: string): Places {
  const real = realPath(directory);
  const mount = mountOf(real);
  const above = mount?.mountPoint === '/' ? '' : (mount?.mountPoint ?? '');
  const root = mount?.root === '/' ? '' : (mount?.root ?? '');
  return {
    paths: [...new Set([`${real}/`, `${directory}/`])],
    device: mount === undefined ? '' : deviceOf(mount),
    inside: `${root}${real.slice(above.length)}/`,
  };
}

const deviceOf = ({ major, minor }: Mount) => `${major}:${minor}`;

function firstBelow(path: string, above: string): string[] {
  if (!path.startsWith(above)) return [];
  const [first = ''] = path.slice(above.length).split('/', 1);
  return first === '' ? [] : [first];
}

function mountedIn(pid: number, places: Places, seen: Set<string>): string[] {
  return unlessGone(() => {
    const namespace = linkOf(`/proc/${pid}/ns/mnt`);
    if (seen.has(namespace)) return [];
    seen.add(namespace);
    return parseMountinfo(readFile(`/proc/${pid}/mountinfo`, MAX_TABLE_BYTES)).flatMap((mount) =>
      namesIn(mount, places),
    );
  });
}

const UPPER = 'upperdir=';

function namesIn(mount: Mount, { paths, device, inside }: Places): string[] {
  const upper = mount.superOptions.find((option) => option.startsWith(UPPER))?.slice(UPPER.length);
  const named = [mount.mountPoint, ...(upper === undefined ? [] : [upper])];
  return [
    ...named.flatMap((path) => paths.flatMap((above) => firstBelow(path, above))),
    ...(deviceOf(mount) === device ? firstBelow(mount.root, inside) : []),
  ];
}

function openIn(pid: number, { paths }: Places): string[] {
  return unlessGone(() => {
    const links = [
      'cwd',
      'root',
      'exe',
      ...unlessGone(() => listNames(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)),
    ];
    return links.flatMap((link) =>
      unlessGone(() => {
        const path = linkOf(`/proc/${pid}/${link}`);
        return paths.flatMap((above) => firstBelow(path, above));
      }),
    );
  });
}

const linkOf = (path: string) => utf8(byteName(readlinkAt(AT_FDCWD, path)));

/** An empty list for errors of a process that has ended in between, or of a kernel thread, which has no open files. */
function unlessGone(look: () => string[]): string[] {
  try {
    return look();
  } catch (error) {
    if (error instanceof SysError && hasCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL'))
      return [];
    throw error;
  }
}
