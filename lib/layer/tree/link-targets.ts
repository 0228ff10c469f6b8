/** Finds the target of a hard link that this layer does not have. The search looks at names and makes nothing. */
import { type ByteName, byteName, bytesOf } from '../../base/bytes.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { readlinkAt } from '../../sys/kernel/files.ts';
import { isDirectory, isSymlink, statIfThere } from '../../sys/kernel/stat.ts';
import type { Budget } from './budget.ts';
import type { LayerTree } from './layer-tree.ts';
import type { LowerName, LowerTrees } from './lower-trees.ts';

/** The kernel's own limit for one name (path_resolution(7)). */
const MAX_LINKS = 40;
const ELOOP = 40;

/**
 * Looks at a path whose directories are no links. Returns the target of a symbolic link, `other` where a longer path
 * cannot continue, and `open` where it can.
 */
type Look = (path: ByteName) => { readonly link: ByteName } | 'other' | 'open';

export interface FoundBelow {
  readonly found: LowerName;
  /** True when the name is still visible with this layer on top. */
  readonly shows: boolean;
}

/** Searches with this layer on top; then, for names that this layer removes, without it. */
export function findBelow(
  tree: LayerTree,
  lowers: LowerTrees,
  budget: Budget,
  target: string,
): FoundBelow | undefined {
  const below: Look = (path) => {
    budget.look(path);
    const found = lowers.find(path);
    if (found === undefined) return 'open';
    return isSymlink(found.stat) ? { link: byteName(readlinkAt(found.rootFd, bytesOf(path))) } : 'other';
  };
  const merged: Look = (path) => {
    budget.look(path);
    const stat = statIfThere(tree.root.fd, bytesOf(path));
    if (stat === undefined) return tree.marked.isCovered(path) ? 'other' : below(path);
    if (isSymlink(stat)) return { link: byteName(readlinkAt(tree.root.fd, bytesOf(path))) };
    return isDirectory(stat) ? 'open' : 'other';
  };
  const shown = follow(target, merged);
  if (shown !== undefined && isFree(tree, shown)) {
    const found = lowers.find(shown);
    if (found !== undefined) return { found, shows: true };
  }
  const hidden = follow(target, below);
  const found = hidden === undefined ? undefined : lowers.find(hidden);
  return found && { found, shows: false };
}

function isFree(tree: LayerTree, path: ByteName): boolean {
  return statIfThere(tree.root.fd, bytesOf(path)) === undefined && !tree.marked.isCovered(path);
}

/** The path with all links on the way followed, inside the root. A link at the end is not followed. */
function follow(path: string, look: Look): ByteName | undefined {
  const rest = components(path);
  let at: string[] = [];
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      at.pop();
      continue;
    }
    at.push(name);
    if (rest.length === 0) break;
    const seen = look(at.join('/') as ByteName);
    if (seen === 'other') return undefined;
    if (seen === 'open') continue;
    links += 1;
    if (links > MAX_LINKS) throw new SysError(ELOOP, 'openat', path);
    at = seen.link.startsWith('/') ? [] : at.slice(0, -1);
    rest.unshift(...components(seen.link));
  }
  return at.join('/') as ByteName;
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
