/**
 * Walks a layer on CVMFS for its markers. CernVM-FS publishes the markers of image layers literally, as files, since
 * its ingest command does not know whiteouts. overlayfs reads devices 0:0 and an attribute instead. So the directories
 * of each layer are searched once, and `shim-plan.ts` makes what overlayfs reads. Only directories are opened: no file
 * data is fetched.
 */
import { type ByteName, bytesOf } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import { type Dirent, DT, readDirents } from '../sys/kernel/dirents.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, lgetxattr, llistxattr, openDir } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { S, type Stat, statAt, statFd } from '../sys/kernel/stat.ts';
import { openBeneath, stampOf } from './beneath.ts';
import { CATALOG, markerOf } from './markers.ts';
import type { LayerDirectory, LayerWalk, MadeBy, Stamp } from './probe-protocol.ts';
import { isNobody, type Synthetic, syntheticTest } from './synthetic.ts';
import {
  type Directory,
  dropEmpty,
  finishImplied,
  isMarked,
  isNewer,
  lastOf,
  published,
  want,
} from './walk-directories.ts';

/** More entries than any image has. A walk without end is a cycle or an attack. */
const MAX_ENTRIES = 20_000_000;
const ALIVE_EVERY_MS = 200;
/**
 * The longest path of a directory that is copied: the copy is made by its whole path, and the kernel takes 4095 bytes.
 */
const MAX_COPIED_PATH = 3800;

export interface WalkOptions {
  readonly sizes: boolean;
  /** True to keep extended attributes of directories. On CernVM-FS these are the client's own, and not kept. */
  readonly xattrs: boolean;
  readonly made: MadeBy;
  /** Attributes of the directory around the tree, where there is one. */
  readonly around: Stamp | undefined;
  readonly explicit: ReadonlySet<ByteName>;
  /** Called several times a second while the walk goes on. */
  readonly alive: () => void;
}

/** Walks the tree that `root` is open on. @throws SysError when the filesystem fails */
export function walkLayer(root: number, options: WalkOptions): LayerWalk {
  return new Walk(root, options).run();
}

/** Walks the tree at an absolute path that graft chose. */
export function walkTree(path: string, options: WalkOptions): LayerWalk {
  const root = openDir(path);
  try {
    return walkLayer(root, options);
  } finally {
    close(root);
  }
}

class Walk {
  readonly #root: number;
  readonly #options: WalkOptions;
  readonly #synthetic: Synthetic;
  readonly #directories: Directory[] = [];
  readonly #owners = new Set<string>();
  /** True when the tree shows traces of the ingest command. */
  #ingested = false;
  #entries = 0;
  #fileBytes = 0;
  #unusable: string | undefined;
  #lastAlive = performance.now();

  constructor(root: number, options: WalkOptions) {
    this.#root = root;
    this.#options = options;
    this.#synthetic = syntheticTest(root, options.around);
  }

  run(): LayerWalk {
    const todo: { path: ByteName; parent: Directory | undefined }[] = [
      { path: '' as ByteName, parent: undefined },
    ];
    let explicitRoot = true;
    for (let next = todo.pop(); next !== undefined && this.#unusable === undefined; next = todo.pop()) {
      const { directory, children } = this.#visit(next.path, next.parent);
      if (directory.path === '') explicitRoot = !directory.implied;
      for (const child of children) todo.push({ path: child, parent: directory });
      this.#alive();
    }
    finishImplied(this.#directories);
    dropEmpty(this.#directories);
    return {
      entries: this.#entries,
      directories: this.#directories.filter((directory) => directory.wanted).map(published),
      explicitRoot,
      vouched: this.#options.made === 'itself' || (this.#options.made === 'unpack' && !this.#ingested),
      late: [],
      owners: [...this.#owners],
      ownersKept: false,
      fileBytes: this.#options.sizes ? this.#fileBytes : undefined,
      unusable: this.#unusable,
    };
  }

  #visit(path: ByteName, parent: Directory | undefined): { directory: Directory; children: ByteName[] } {
    const fd = openBeneath(this.#root, bytesOf(path), O.RDONLY | O.DIRECTORY);
    // The layer deletes the lower directory and makes a new one, so nothing of the lower one shows.
    const replaced = parent?.whiteouts.delete(lastOf(path)) ?? false;
    try {
      const directory: Directory = {
        path,
        parent,
        stamp: stampOf(statFd(fd)),
        xattrs: this.#options.xattrs ? keptXattrs(fd) : [],
        covered: parent !== undefined && (parent.covered || parent.opaque),
        opaque: replaced,
        replaced,
        whiteouts: new Set(),
        hidden: [],
        native: false,
        implied: false,
        bare: true,
        newest: undefined,
        children: [],
        wanted: false,
      };
      directory.implied = this.#synthetic(directory.stamp) && !this.#options.explicit.has(path);
      this.#noteOwner(directory);
      this.#directories.push(directory);
      parent?.children.push(directory);
      const children: ByteName[] = [];
      for (const entry of readDirents(fd, printable(bytesOf(path)))) {
        if (this.#look(entry, fd, directory)) children.push(join(path, entry.name));
      }
      if (isMarked(directory) || (directory.implied && path !== '')) want(directory);
      if (directory.wanted && path.length > MAX_COPIED_PATH) this.#unusable = 'a marker lies too deep in it';
      return { directory, children };
    } finally {
      close(fd);
    }
  }

  #noteOwner({ path, stamp, implied }: Directory): void {
    if (path !== '' && this.#owners.size < 2) this.#owners.add(`${stamp.uid}:${stamp.gid}`);
    if (implied && isNobody(stamp)) this.#ingested = true;
  }

  /** Notes one entry. Returns true for a directory to go into. */
  #look(entry: Dirent, fd: number, directory: Directory): boolean {
    this.#entries += 1;
    if (this.#entries > MAX_ENTRIES) this.#unusable = `it has more than ${MAX_ENTRIES} entries`;
    const marker = markerOf(entry.name);
    if (entry.name === CATALOG) this.#ingested = true;
    if (directory.implied && entry.type !== DT.DIR && entry.name !== CATALOG) {
      const stamp = stampOf(statAt(fd, bytesOf(entry.name)));
      if (isNewer(stamp, directory.newest)) directory.newest = stamp;
    }
    if (marker !== undefined) {
      directory.hidden.push(entry.name);
      if (marker.kind === 'opaque') directory.opaque = true;
      if (marker.kind === 'whiteout') directory.whiteouts.add(marker.name);
      if (marker.kind === 'bad')
        this.#unusable = `it has a whiteout without a name: ${printable(entry.name)}`;
      return false;
    }
    const stat = needsStat(entry, this.#options.sizes) ? statAt(fd, bytesOf(entry.name)) : undefined;
    const type = stat === undefined ? entry.type : typeOf(stat);
    if (type === DT.REG && stat !== undefined) this.#fileBytes += stat.size;
    if (type === DT.CHR && stat?.rdevMajor === 0 && stat.rdevMinor === 0) {
      // overlayfs reads this device as a whiteout: the publisher rewrote the tar.
      directory.native = true;
      return false;
    }
    if (type === DT.CHR || type === DT.BLK) directory.hidden.push(entry.name);
    else if (type !== DT.DIR) directory.bare = false;
    return type === DT.DIR;
  }

  #alive(): void {
    const now = performance.now();
    if (now - this.#lastAlive < ALIVE_EVERY_MS) return;
    this.#lastAlive = now;
    this.#options.alive();
  }
}

function needsStat(entry: Dirent, sizes: boolean): boolean {
  if (entry.type === DT.UNKNOWN || entry.type === DT.CHR) return true;
  return sizes && entry.type === DT.REG;
}

/** `d_type` has the type bits of a mode, shifted (DT_DIR is 4, S_IFDIR 0o040000). */
function typeOf(stat: Stat): number {
  return (stat.mode & S.IFMT) >> 12;
}

function join(directory: ByteName, name: ByteName): ByteName {
  return (directory === '' ? name : `${directory}/${name}`) as ByteName;
}

/** The attributes that the layer writer keeps: user attributes and access lists, never `trusted.*` or a label. */
const KEPT_XATTR = /^(user\.|system\.posix_acl_(access|default)$)/;

function keptXattrs(fd: number): LayerDirectory['xattrs'] {
  const path = `/proc/self/fd/${fd}/.`;
  const kept: [string, string][] = [];
  try {
    for (const raw of llistxattr(path)) {
      const name = Buffer.from(raw).toString('latin1');
      if (!KEPT_XATTR.test(name)) continue;
      const value = lgetxattr(path, raw);
      if (value !== undefined) kept.push([name, Buffer.from(value).toString('base64')]);
    }
  } catch (error) {
    if (!hasCode(error, 'EOPNOTSUPP', 'ENOSYS')) throw error;
  }
  return kept;
}
