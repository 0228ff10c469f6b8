/**
 * Opens paths inside a repository. A stranger published its content: no link in it may lead out of the repository, and
 * no path may cross into another filesystem, since a mount inside a repository is no part of it.
 */
import { hasCode, SysError } from '../sys/kernel/errno.ts';
import { close, openat2, RESOLVE, readlinkAt } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { isSymlink, type Stat, statFd } from '../sys/kernel/stat.ts';
import type { LinkRules, Stamp } from './probe-protocol.ts';

const RULES = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS;
/** The kernel refuses longer paths (PATH_MAX with its NUL), so deep names are opened in pieces. */
const MAX_PATH = 4095;
/** As many links as the kernel follows (MAXSYMLINKS in include/linux/namei.h). */
const MAX_LINKS = 40;

/** Opens a relative path below `root` and follows no link. @throws SysError */
export function openBeneath(root: number, path: Uint8Array, flags: number): number {
  if (path.length === 0) return openat2(root, '.', flags, 0, RULES);
  if (path.length <= MAX_PATH) return openat2(root, path, flags, 0, RULES);
  const cut = path.lastIndexOf(0x2f, MAX_PATH);
  if (cut <= 0) throw new SysError(36, 'openat2', Buffer.from(path).toString('latin1', 0, 255));
  const between = openat2(root, path.subarray(0, cut), O.PATH | O.DIRECTORY, 0, RULES);
  try {
    return openBeneath(between, path.subarray(cut + 1), flags);
  } finally {
    close(between);
  }
}

/**
 * Follows the links on a path and returns the path without links; undefined where nothing is. Links may be relative,
 * absolute to one of `rules.roots`, or variant links whose `$(NAME)` a client would have expanded.
 * @throws SysError EXDEV for a link that leads out of the repository, ELOOP for too many links, and the errors of the
 * filesystem
 */
export function resolveBeneath(root: number, path: string, rules: LinkRules): string | undefined {
  let done: string[] = [];
  let todo = path.split('/');
  for (let links = 0; todo.length > 0; ) {
    const [name = '', ...rest] = todo;
    todo = rest;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (done.pop() === undefined) throw new SysError(18, 'resolve', path);
      continue;
    }
    const found = lookAt(root, [...done, name].join('/'));
    if (found === undefined) return undefined;
    if (found.link === undefined) {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new SysError(40, 'resolve', path);
    const target = expand(found.link, rules.variables);
    if (target.startsWith('/')) done = [];
    todo = [...insideOf(target, rules.roots, path).split('/'), ...rest];
  }
  return done.join('/');
}

function lookAt(root: number, path: string): { link: string | undefined } | undefined {
  let fd: number;
  try {
    fd = openBeneath(root, Buffer.from(path), O.PATH | O.NOFOLLOW);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  try {
    return { link: isSymlink(statFd(fd)) ? Buffer.from(readlinkAt(fd, '')).toString() : undefined };
  } finally {
    close(fd);
  }
}

function insideOf(target: string, roots: readonly string[], path: string): string {
  if (!target.startsWith('/')) return target;
  const root = roots.find((candidate) => target === candidate || target.startsWith(`${candidate}/`));
  if (root === undefined) throw new SysError(18, 'resolve', path);
  return target.slice(root.length + 1);
}

/** `$(NAME)` and `$(NAME:-default)`, as the CernVM-FS client expands them in link targets. */
function expand(target: string, variables: Readonly<Record<string, string>>): string {
  return target.replace(
    /\$\(([A-Za-z0-9_]+)(?::-([^)]*))?\)/g,
    (_, name: string, otherwise: string | undefined) => {
      return (Object.hasOwn(variables, name) ? variables[name] : undefined) ?? otherwise ?? '';
    },
  );
}

export function stampOf({ mode, uid, gid, mtime }: Stat): Stamp {
  return { mode: mode & 0o7777, uid, gid, sec: mtime.sec, nsec: mtime.nsec };
}
