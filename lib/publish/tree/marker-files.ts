/**
 * A layer's tree as CernVM-FS publishes it. The unpacker leaves the form of overlayfs; here its whiteouts become the files
 * named `.wh.NAME` that every reader of DUCC's layout expects, opaque directories get `.wh..wh..opq`, and a second tree
 * `whiteouts/` keeps the devices 0:0, so that `lowerdir=layerfs:whiteouts` needs no search.
 *
 * No name has a marker beside it: a layer that deletes a name of a lower layer and has the name itself keeps the name alone,
 * and a directory of that name is opaque. CernVM-FS's ingest command aborts on some of these pairs.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { CATALOG } from '../../cvmfs/markers.ts';
import type { ImpliedRecord } from '../../cvmfs/records.ts';
import type { UnpackResult } from '../../layer/tree/types.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import {
  close,
  fchmod,
  futimes,
  linkAt,
  mknodAt,
  openAt,
  type Timespec,
  unlinkAt,
} from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { isDirectory, isWhiteout, S, type Stat, statAt, statFd, statIfThere } from '../../sys/kernel/stat.ts';

const NEW_FILE = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;

/** Facts about a published tree that its directories cannot say. Paths have one character for each byte. */
export interface MarkedTree {
  /** Markers and the catalog file: containers must not see them. */
  readonly hidden: readonly string[];
  /** Directories without an entry in the archive, whose attributes a lower layer decides. */
  readonly implied: readonly ImpliedRecord[];
}

type Facts = Pick<UnpackResult, 'impliedDirs' | 'whiteoutDirs' | 'opaqueDirs'>;

/**
 * @param tree the unpacked layer, in the form of overlayfs
 * @param whiteouts an empty directory beside it
 * @param namesBelow the names that lower layers have in a directory that this layer makes opaque
 * @throws PUBLISH_CATALOG_NAME where the image itself has the name of the catalog file and it is no file; SysError
 */
export function writeMarkerFiles(
  tree: string,
  whiteouts: string,
  facts: Facts,
  namesBelow: (path: ByteName) => Iterable<ByteName>,
): MarkedTree {
  const layer = new RootedTree(tree, NO_EVENTS);
  const companion = new RootedTree(whiteouts, { ...NO_EVENTS, implied: (made) => made.setMode(0o755) });
  try {
    const marking = new Marking(layer, companion);
    // Before any marker is written: what is empty but for whiteouts is told by the devices.
    const implied = impliedRecords(layer, facts.impliedDirs);
    for (const path of facts.whiteoutDirs) marking.whiteouts(path);
    for (const path of facts.opaqueDirs) marking.opaque(path, namesBelow(path));
    marking.catalog();
    layer.finish();
    companion.finish();
    return { hidden: marking.hidden.sort(), implied };
  } catch (error) {
    layer.abandon();
    companion.abandon();
    throw error;
  }
}

const NO_EVENTS = { linkBelow: () => undefined, implied: () => undefined, removed: () => undefined };

class Marking {
  readonly hidden: string[] = [];
  readonly #layer: RootedTree;
  readonly #companion: RootedTree;
  /** A whiteout that others are links to, as overlayfs itself does it. */
  #first: { readonly directory: string; readonly name: Uint8Array } | undefined;

  constructor(layer: RootedTree, companion: RootedTree) {
    this.#layer = layer;
    this.#companion = companion;
  }

  whiteouts(path: ByteName): void {
    const directory = this.#directory(path);
    directory.hold(() => {
      const names = [...directory.entries()]
        .map(({ name }) => name)
        .filter((name) => isWhiteout(statAt(directory.fd, bytesOf(name))));
      const { mtime } = statFd(directory.fd);
      for (const name of names) {
        unlinkAt(directory.changingFd, bytesOf(name));
        this.#marker(directory, `.wh.${name}`, mtime);
        this.#hide(path, name);
      }
    });
  }

  opaque(path: ByteName, below: Iterable<ByteName>): void {
    const directory = this.#directory(path);
    directory.hold(() => this.#marker(directory, '.wh..wh..opq', statFd(directory.fd).mtime));
    // Overlayfs knows an opaque directory by an attribute, which CernVM-FS does not keep.
    for (const name of below) this.#hide(path, name);
  }

  /** The empty file that makes the layer a catalog of its own. An image that was made from a published tree has one. */
  catalog(): void {
    const { root } = this.#layer;
    const there = statIfThere(root.fd, CATALOG);
    if (there !== undefined && (there.mode & S.IFMT) !== S.IFREG)
      throw new PluginError('PUBLISH_CATALOG_NAME', { name: CATALOG });
    if (there === undefined) this.#marker(root, CATALOG, statFd(root.fd).mtime);
  }

  #marker(directory: Directory, name: string, mtime: Timespec): void {
    const fd = openAt(directory.changingFd, Buffer.from(name, 'latin1'), NEW_FILE, 0o644);
    try {
      fchmod(fd, 0o644);
      futimes(fd, mtime);
    } finally {
      close(fd);
    }
    this.hidden.push(directory.path === '' ? name : `${directory.path}/${name}`);
  }

  #hide(path: ByteName, name: ByteName): void {
    const directory = this.#companion.directory(path);
    const bytes = bytesOf(name);
    try {
      directory.hold(() => {
        if (!this.#link(directory, bytes)) this.#make(directory, bytes);
      });
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }

  #make(directory: Directory, name: Uint8Array): void {
    mknodAt(directory.changingFd, name, S.IFCHR);
    this.#first = { directory: directory.path, name };
  }

  /** False where there is none yet, or the inode has as many links as the filesystem allows (ext4: 65,000). */
  #link(directory: Directory, name: Uint8Array): boolean {
    if (this.#first === undefined) return false;
    const first = this.#companion.directory(this.#first.directory);
    try {
      linkAt(first.fd, this.#first.name, directory.changingFd, name);
      return true;
    } catch (error) {
      if (hasCode(error, 'EMLINK', 'EPERM')) return false;
      throw error;
    }
  }

  #directory(path: ByteName): Directory {
    const found = this.#layer.find(path);
    if (found === undefined) throw new Error(`a directory with markers is missing: ${path}`);
    return found;
  }
}

function impliedRecords(layer: RootedTree, paths: readonly ByteName[]): ImpliedRecord[] {
  const hollow = new Set<string>();
  // The deepest first, since a directory is empty where all in it is.
  for (const path of [...paths].sort().reverse()) {
    const directory = layer.find(path);
    if (directory !== undefined && isHollow(directory, hollow)) hollow.add(path);
  }
  return paths.flatMap((path) => {
    const directory = layer.find(path);
    if (directory === undefined) return [];
    const { sec, nsec } = statFd(directory.fd).mtime;
    return [{ path, sec, nsec, own: false, hollow: hollow.has(path) }];
  });
}

/** True for a directory in which nothing shows. */
function isHollow(directory: Directory, hollow: ReadonlySet<string>): boolean {
  for (const { name } of directory.entries()) {
    const stat: Stat = statAt(directory.fd, bytesOf(name));
    const path = directory.path === '' ? name : `${directory.path}/${name}`;
    if (!isWhiteout(stat) && !(isDirectory(stat) && hollow.has(path))) return false;
  }
  return true;
}
