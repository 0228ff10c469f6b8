/**
 * A directory tree that layers are merged into, the bottom one first: the tree that overlayfs would show of the same
 * layers (image-spec, layer.md, "Applying Changesets"). Each layer is unpacked into a tree of its own first, and its
 * files are then moved by rename(2). So a marker removes what lower layers gave and nothing of its own layer, in any
 * order of the archive.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { Steps } from '../../base/turns.ts';
import { DEFAULT_ACL, type Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import { fsetxattr, renameAt, type Timespec } from '../../sys/kernel/files.ts';
import { isDirectory, isWhiteout, statAt, statFd, statIfThere } from '../../sys/kernel/stat.ts';
import { flistxattr, fremovexattr } from '../../sys/kernel/xattr.ts';
import { pathOf } from '../tree/layer-tree.ts';
import { readXattrs } from '../tree/metadata.ts';
import type { UnpackResult } from '../tree/types.ts';
import { waysTo } from '../tree/ways-to.ts';
import { isOurs, nameBytes } from '../tree/xattrs.ts';
import { ClosedDirectories } from './closed-directories.ts';
import { hollowDirectories } from './hollow.ts';

/** The facts about an unpacked layer that decide how it is merged. */
export type MergeFacts = Pick<
  UnpackResult,
  'explicitRoot' | 'impliedDirs' | 'whiteoutDirs' | 'opaqueDirs' | 'closedDirs'
>;

interface RootAttributes {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

const NEVER = { linkBelow: () => undefined, implied() {}, removed() {} };
/** The root of an image whose layers say nothing about it. A fixed time, so that two exports are the same. */
const PLAIN_ROOT = { mode: 0o755, mtime: { sec: 0, nsec: 0 } satisfies Timespec };

export class MergedTree {
  readonly #path: string;
  readonly #closed = new ClosedDirectories();
  /**
   * Owner and mode of the root, which are set at the end: until then only the user of this process can enter the tree,
   * and nobody else can start a set-id program in it.
   */
  #root: RootAttributes;

  /**
   * @param path an existing empty directory, which only the user of this process may enter
   * @param owner of the root, where the layers say nothing; undefined: the owner that the directory has
   */
  constructor(path: string, owner: { readonly uid: number; readonly gid: number } | undefined) {
    this.#path = path;
    const tree = new RootedTree(path, NEVER);
    const { uid, gid } = owner ?? statFd(tree.root.fd);
    this.#root = { uid, gid, mode: PLAIN_ROOT.mode };
    tree.root.setTime(PLAIN_ROOT.mtime);
    tree.finish();
  }

  /** Moves the tree of the next layer into this one. The rest of `layerTree` has no meaning afterwards. */
  *add(layerTree: string, facts: MergeFacts): Steps<void> {
    const into = new RootedTree(this.#path, NEVER);
    const from = new RootedTree(layerTree, NEVER);
    try {
      // Before the merge, which changes the time of the layer's root by moving names out of it.
      if (facts.explicitRoot) this.#takeRoot(from.root, into.root, new Map(facts.closedDirs ?? []));
      yield* new LayerMerge(into, from, facts, this.#closed).run();
      into.finish();
    } finally {
      into.abandon();
      from.abandon();
    }
  }

  /** Directories that are still open to their owner, and the modes that they have in the image. */
  get closedDirs(): ReadonlyMap<ByteName, number> {
    return new Map(this.#closed.childrenFirst());
  }

  /** Gives the directories that are closed to their owner the modes that they have in the image. */
  close(): void {
    const tree = new RootedTree(this.#path, NEVER);
    try {
      for (const [path, mode] of this.#closed.childrenFirst()) tree.find(path)?.setMode(mode);
      tree.finish();
    } finally {
      tree.abandon();
    }
  }

  /** Gives the root the owner and the mode that it has in the image. */
  finish(): void {
    const tree = new RootedTree(this.#path, NEVER);
    try {
      const { uid, gid, mode } = this.#root;
      const now = statFd(tree.root.fd);
      if (now.uid !== uid || now.gid !== gid) tree.root.setOwner(uid, gid);
      tree.root.setMode(mode);
      tree.finish();
    } finally {
      tree.abandon();
    }
  }

  #takeRoot(from: Directory, into: Directory, closed: ReadonlyMap<ByteName, number>): void {
    const { uid, gid, mode, mtime } = statFd(from.fd);
    this.#root = { uid, gid, mode: closed.get(from.path) ?? mode & 0o7777 };
    copyXattrs(from, into);
    into.setTime(mtime);
  }
}

interface Visit {
  readonly path: ByteName;
  /** The directory was made now, since no lower layer has it. */
  readonly isNew: boolean;
}

/** The merge of one layer. */
class LayerMerge {
  readonly #into: RootedTree;
  readonly #from: RootedTree;
  readonly #implied: ReadonlySet<ByteName>;
  readonly #opaque: ReadonlySet<ByteName>;
  /** Directories with markers in them or below them: such a directory cannot be moved as a whole. */
  readonly #marked: ReadonlySet<ByteName>;
  readonly #impliedDirs: readonly ByteName[];
  readonly #closed: ClosedDirectories;
  readonly #closedHere: ReadonlyMap<ByteName, number>;
  /** Directories to merge. Each exists in both trees. */
  readonly #todo: Visit[] = [{ path: '' as ByteName, isNew: false }];

  constructor(into: RootedTree, from: RootedTree, facts: MergeFacts, closed: ClosedDirectories) {
    this.#into = into;
    this.#from = from;
    this.#impliedDirs = facts.impliedDirs;
    this.#implied = new Set(facts.impliedDirs);
    this.#opaque = new Set(facts.opaqueDirs);
    this.#marked = waysTo([...facts.whiteoutDirs, ...facts.opaqueDirs]);
    this.#closed = closed;
    this.#closedHere = new Map(facts.closedDirs ?? []);
  }

  *run(): Steps<void> {
    const hollow = yield* hollowDirectories(this.#from, this.#impliedDirs, this.#marked);
    for (let visit = this.#todo.pop(); visit !== undefined; visit = this.#todo.pop()) {
      yield* this.#directory(visit, hollow);
    }
  }

  *#directory({ path, isNew }: Visit, hollow: ReadonlySet<ByteName>): Steps<void> {
    const [into, from] = [this.#into.find(path), this.#from.find(path)];
    if (into === undefined || from === undefined) throw new Error('a directory went away during the merge');
    if (this.#opaque.has(path) && !isNew) yield* this.#clear(path);
    if (path !== '' && (isNew || !this.#implied.has(path))) this.#copyAttributes(from, into);
    for (const { name, type } of from.entries()) {
      yield;
      this.#name(path, name, type, hollow);
    }
  }

  #name(parent: ByteName, name: ByteName, type: number, hollow: ReadonlySet<ByteName>): void {
    const [into, from] = [this.#into.directory(parent), this.#from.directory(parent)];
    const path = pathOf(into, name);
    const bytes = bytesOf(name);
    const stat = type === DT.REG || type === DT.LNK ? undefined : statAt(from.fd, bytes);
    const there = statIfThere(into.fd, bytes);
    if (stat !== undefined && isWhiteout(stat)) {
      if (there !== undefined) this.#remove(into, name);
      return;
    }
    if (stat !== undefined && isDirectory(stat)) {
      const isThere = there !== undefined && isDirectory(there);
      if (isThere) this.#todo.push({ path, isNew: false });
      else if (!hollow.has(path)) this.#newDirectory(into, from, name);
      return;
    }
    // rename(2) replaces a file by a file, and refuses to replace a directory.
    if (there !== undefined && isDirectory(there)) this.#remove(into, name);
    renameAt(from.fd, bytes, into.changingFd, bytes);
  }

  /** A directory that no lower layer has, or that takes the place of something else. */
  #newDirectory(into: Directory, from: Directory, name: ByteName): void {
    const path = pathOf(into, name);
    if (statIfThere(into.fd, bytesOf(name)) !== undefined) this.#remove(into, name);
    if (this.#marked.has(path)) {
      this.#into.make(into, name, 0o700);
      this.#todo.push({ path, isNew: true });
      return;
    }
    renameAt(from.fd, bytesOf(name), into.changingFd, bytesOf(name));
    for (const [closed, mode] of this.#closedHere)
      if (closed === path || closed.startsWith(`${path}/`)) this.#closed.set(closed, mode);
  }

  #remove(parent: Directory, name: ByteName): void {
    this.#closed.drop(pathOf(parent, name));
    this.#into.remove(parent, name);
  }

  /** Removes all that lower layers have in an opaque directory. */
  *#clear(path: ByteName): Steps<void> {
    const names = [];
    for (const { name } of this.#into.directory(path).entries()) {
      yield;
      names.push(name);
    }
    for (const name of names) {
      yield;
      this.#remove(this.#into.directory(path), name);
    }
  }

  #copyAttributes(from: Directory, into: Directory): void {
    const { uid, gid, mode, mtime } = statFd(from.fd);
    const now = statFd(into.fd);
    if (now.uid !== uid || now.gid !== gid) into.setOwner(uid, gid);
    into.setMode(mode & 0o7777);
    copyXattrs(from, into);
    into.setTime(mtime);
    const closed = this.#closedHere.get(into.path);
    if (closed === undefined) this.#closed.forget(into.path);
    else this.#closed.set(into.path, closed);
  }
}

/** Gives `into` the extended attributes of `from`, among those that a layer may set, and no others of these. */
function copyXattrs(from: Directory, into: Directory): void {
  for (const name of flistxattr(into.fd)) {
    if (isOurs(Buffer.from(name).toString('latin1'))) fremovexattr(into.fd, name, into.path);
  }
  into.setDefaultAcl(undefined);
  for (const xattr of readXattrs(from.fd)) {
    if (xattr.name === DEFAULT_ACL) into.setDefaultAcl(xattr.value);
    else fsetxattr(into.fd, nameBytes(xattr), xattr.value, into.path);
  }
}
