/** Turns a container's tree into the pieces of a layer's archive. */
import { type ByteName, byteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import { END_OF_ARCHIVE, tarHeader, type WrittenEntry } from '../../layer/tar/write-header.ts';
import { close, openAt, readlinkAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { isWhiteout, S } from '../../sys/kernel/stat.ts';
import { type ReadAttributes, readAttributes, toImageId } from './attributes.ts';
import type { Capture, Piece } from './content.ts';
import { shownPath, type TreeName, walkTree } from './tree-walk.ts';

/** image-spec, layer.md, "Whiteouts". */
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** NAME_MAX: where whiteouts are files, a longer one cannot be made. */
const MAX_COMPONENT = 255;
/** Inodes with several names whose other names were not found yet. Each takes the memory of its path. */
const MAX_LINKED = 1_000_000;

export interface TreeToExport {
  /** A descriptor of the root, which stays open. */
  readonly root: number;
  readonly mappings: IdMappings;
  readonly capture: Capture;
  /**
   * For an upper directory: whether the lower directories have something at a path. Undefined for a merged tree, which
   * hides nothing.
   */
  readonly isBelow: ((path: ByteName) => boolean) | undefined;
}

export interface ExportCounts {
  entries: number;
  sockets: number;
  devices: number;
}

/** Pieces of the archive of a tree. `counts` is complete when the last piece was given. */
export class LayerPieces {
  readonly #tree: TreeToExport;
  readonly counts: ExportCounts = { entries: 0, sockets: 0, devices: 0 };
  /** The first path of each inode that has further names, and how many of them are left. */
  readonly #linked = new Map<string, { readonly path: ByteName; left: number }>();
  /** The outermost opaque directory around the name in hand. */
  #opaque: ByteName | undefined;

  constructor(tree: TreeToExport) {
    this.#tree = tree;
  }

  /** @throws COMMIT_*, SysError */
  *all(): Generator<Piece> {
    for (const found of walkTree(this.#tree.root)) {
      requireName(found);
      yield* this.#pieces(found);
    }
    yield END_OF_ARCHIVE;
  }

  *#pieces(found: TreeName): Generator<Piece> {
    switch (found.stat.mode & S.IFMT) {
      case S.IFDIR:
        yield* this.#directory(found);
        return;
      case S.IFREG:
        yield* this.#linkOr(found, () => this.#file(found));
        return;
      case S.IFLNK:
        yield* this.#linkOr(found, () => this.#symlink(found));
        return;
      case S.IFIFO:
        yield* this.#linkOr(found, () => [this.#header(found, { kind: 'fifo' })]);
        return;
      case S.IFSOCK:
        this.counts.sockets += 1;
        yield* this.#leftOut(found.path);
        return;
      default:
        if (isWhiteout(found.stat)) {
          yield this.#marker(found.path);
          return;
        }
        this.counts.devices += 1;
        yield* this.#leftOut(found.path);
    }
  }

  *#directory(found: TreeName): Generator<Piece> {
    const attributes = this.#attributes(found, openAt(found.fd, '.', O.RDONLY | O.DIRECTORY));
    yield this.#header(found, { kind: 'directory', xattrs: attributes.xattrs });
    if (!attributes.overlay.opaque || this.#tree.isBelow === undefined) return;
    if (this.#opaque === undefined || !found.path.startsWith(`${this.#opaque}/`)) this.#opaque = found.path;
    yield this.#blank((found.path === '' ? OPAQUE : `${found.path}/${OPAQUE}`) as ByteName);
  }

  *#file(found: TreeName): Generator<Piece> {
    // The descriptor names this very file, whatever has its name now.
    const fd = openAt(AT_FDCWD, `/proc/self/fd/${found.fd}`, O.RDONLY | O.NONBLOCK);
    try {
      const { xattrs } = this.#attributes(found, fd, false);
      const content = this.#tree.capture.take(fd, found.stat, found.path);
      yield this.#header(found, { kind: 'file', xattrs, size: content.size });
      if (content.size > 0) yield content;
    } finally {
      close(fd);
    }
  }

  *#symlink(found: TreeName): Generator<Piece> {
    yield this.#header(found, { kind: 'symlink', target: byteName(readlinkAt(found.fd, '')) });
  }

  /** A further name of an inode is a hard link to its first name. */
  *#linkOr(found: TreeName, first: () => Iterable<Piece>): Generator<Piece> {
    const { nlink, devMajor, devMinor, ino } = found.stat;
    if (nlink < 2) {
      yield* first();
      return;
    }
    const key = `${devMajor}:${devMinor}:${ino}`;
    const known = this.#linked.get(key);
    if (known === undefined) {
      if (this.#linked.size === MAX_LINKED)
        throw new PluginError('COMMIT_TOO_LARGE', { what: 'files with hard links', limit: MAX_LINKED });
      this.#linked.set(key, { path: found.path, left: nlink - 1 });
      yield* first();
      return;
    }
    known.left -= 1;
    if (known.left === 0) this.#linked.delete(key);
    yield this.#header(found, { kind: 'hardlink', target: known.path });
  }

  /** A name that images do not have. Where it hides a lower one, the lower one must stay hidden. */
  *#leftOut(path: ByteName): Generator<Piece> {
    const { isBelow } = this.#tree;
    if (this.#opaque !== undefined && path.startsWith(`${this.#opaque}/`)) return;
    if (isBelow?.(path) === true) yield this.#marker(path);
  }

  #attributes(found: TreeName, fd: number, owned = true): ReadAttributes {
    try {
      const read = readAttributes(fd, found.path, this.#tree.mappings);
      const { elsewhere } = read.overlay;
      if (elsewhere !== undefined && this.#tree.isBelow !== undefined)
        throw new PluginError('COMMIT_ENTRY', { path: shownPath(found.path), reason: elsewhere });
      return read;
    } finally {
      if (owned) close(fd);
    }
  }

  #header({ path, stat }: TreeName, own: Pick<WrittenEntry, 'kind'> & Partial<WrittenEntry>): Uint8Array {
    const { uids, gids } = this.#tree.mappings;
    this.counts.entries += 1;
    return tarHeader({
      path,
      mode: stat.mode & 0o7777,
      uid: toImageId(stat.uid, 'uid', uids, path),
      gid: toImageId(stat.gid, 'gid', gids, path),
      mtime: stat.mtime,
      xattrs: [],
      size: 0,
      target: '' as ByteName,
      ...own,
    });
  }

  /** The whiteout of a name. */
  #marker(path: ByteName): Uint8Array {
    const cut = path.lastIndexOf('/') + 1;
    const name = `${WHITEOUT}${path.slice(cut)}`;
    if (name.length > MAX_COMPONENT)
      throw new PluginError('COMMIT_ENTRY', { path: shownPath(path), reason: 'deleted-name' });
    return this.#blank(`${path.slice(0, cut)}${name}` as ByteName);
  }

  /** An empty file with mode 0, as other programs write markers. */
  #blank(path: ByteName): Uint8Array {
    this.counts.entries += 1;
    const mtime = { sec: 0, nsec: 0 };
    const none = { uid: 0, gid: 0, xattrs: [], size: 0, target: '' as ByteName };
    return tarHeader({ ...none, path, kind: 'file', mode: 0, mtime });
  }
}

/** A file of this name would delete another one when the layer is unpacked. @throws COMMIT_ENTRY */
function requireName({ name, path }: TreeName): void {
  if (name.startsWith(WHITEOUT))
    throw new PluginError('COMMIT_ENTRY', { path: shownPath(path), reason: 'whiteout-name' });
}
