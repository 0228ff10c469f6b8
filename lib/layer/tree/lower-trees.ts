/** What the trees below a layer show together, as overlayfs would merge them: for layers that cannot stand alone. */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, openDir, readlinkAt } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { isDirectory, isSymlink, isWhiteout, type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import { fgetxattr } from '../../sys/kernel/xattr.ts';

export const OPAQUE_XATTR = 'trusted.overlay.opaque';
/** Its value is the letter y. */
export const OPAQUE_YES = 0x79;

/** A name that the merged lower trees show and that is no directory. */
export interface LowerName {
  /** The root of the tree it is in, open while the LowerTrees are. */
  readonly rootFd: number;
  readonly path: ByteName;
  readonly stat: Stat;
}

export class LowerTrees {
  /** Roots, topmost first. */
  readonly #roots: number[] = [];

  constructor(trees: readonly string[]) {
    try {
      for (const tree of trees) this.#roots.push(openDir(tree));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Looks a path up whose directories are no links in the merged view: link by link that is the caller's walk.
   * Undefined for what is not there and for directories.
   */
  find(path: ByteName): LowerName | undefined {
    let showing: readonly number[] = this.#roots;
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const directories = this.#merge(showing, path.slice(0, end) as ByteName);
      if (!Array.isArray(directories)) return undefined;
      showing = directories;
    }
    const found = this.#merge(showing, path);
    return Array.isArray(found) ? undefined : (found as LowerName | undefined);
  }

  /** The target where the merged view has a symbolic link. */
  linkAt(path: ByteName): Uint8Array | undefined {
    const found = this.find(path);
    if (found === undefined || !isSymlink(found.stat)) return undefined;
    return readlinkAt(found.rootFd, bytesOf(path));
  }

  close(): void {
    for (const root of this.#roots) close(root);
    this.#roots.length = 0;
  }

  /** The roots whose directories merge at `path`, or what else is there, given those that merge at its parent. */
  #merge(roots: readonly number[], path: ByteName): number[] | LowerName | undefined {
    const directories: number[] = [];
    for (const rootFd of roots) {
      const stat = statIfThere(rootFd, bytesOf(path));
      if (stat === undefined) continue;
      if (!isDirectory(stat)) {
        // A whiteout, or a file that a directory above it hides: in both cases nothing below shows.
        if (directories.length > 0 || isWhiteout(stat)) break;
        return { rootFd, path, stat };
      }
      directories.push(rootFd);
      if (isOpaque(rootFd, path)) break;
    }
    return directories.length === 0 ? undefined : directories;
  }
}

function isOpaque(rootFd: number, path: ByteName): boolean {
  const fd = openAt(rootFd, bytesOf(path), O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    return fgetxattr(fd, OPAQUE_XATTR)?.[0] === OPAQUE_YES;
  } catch (error) {
    if (hasCode(error, 'EPERM')) return false;
    throw error;
  } finally {
    close(fd);
  }
}
