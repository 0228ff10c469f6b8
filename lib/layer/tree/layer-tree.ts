/**
 * A layer's tree in the form of overlayfs: whiteouts are character devices 0:0, and opaque directories have an xattr.
 * The result does not depend on the order of markers and entries: a marker hides only names of the trees below, so the
 * layer's own entries always stay (image-spec, layer.md, "Whiteouts").
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { fsetxattr, mknodAt, type Timespec, unlinkAt } from '../../sys/kernel/files.ts';
import { isDirectory, isWhiteout, S, type Stat, statAt, statIfThere } from '../../sys/kernel/stat.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import type { Budget } from './budget.ts';
import { type LowerTrees, OPAQUE_XATTR } from './lower-trees.ts';
import { MarkedDirectories } from './marked-directories.ts';
import { Metadata } from './metadata.ts';
import type { Publication, UnpackRequest } from './types.ts';

const YES = Buffer.from('y');

export class LayerTree {
  readonly marked = new MarkedDirectories();
  readonly metadata: Metadata;
  readonly #rooted: RootedTree;
  readonly #budget: Budget;
  readonly #manifest: TreeManifestWriter;
  readonly #lowers: LowerTrees | undefined;
  readonly #publication: Publication | undefined;
  /** Paths that later entries took back. The compaction of the manifest keeps these paths in memory. */
  readonly #takenBack = new Set<string>();
  /**
   * Modification time of the current entry. Directories that the entry implies get it too, so that the tree does not
   * depend on the clock.
   */
  mtime: Timespec = { sec: 0, nsec: 0 };
  /** True when the trees below have decided a part of this tree. */
  dependsOnLower = false;

  constructor(
    { target, mappings, publication }: Pick<UnpackRequest, 'target' | 'mappings' | 'publication'>,
    budget: Budget,
    manifest: TreeManifestWriter,
    lowers: LowerTrees | undefined,
  ) {
    this.#budget = budget;
    this.#manifest = manifest;
    this.#lowers = lowers;
    this.#publication = publication;
    this.#rooted = new RootedTree(target, {
      linkBelow: (path) => this.#linkBelow(path),
      otherBelow: (path) => this.#otherBelow(path),
      implied: (directory, over) => this.#implied(directory, over),
      removed: (path, kind) => this.#removed(path, kind),
      removing: budget.checkpoint,
    });
    try {
      this.metadata = new Metadata(mappings, this.#rooted.root.changingFd, publication?.attributes);
    } catch (error) {
      this.#rooted.abandon();
      throw error;
    }
  }

  get root(): Directory {
    return this.#rooted.root;
  }

  /** Makes the root. Until an entry for the root comes, it is an implied directory. */
  startRoot(): void {
    this.metadata.implied(this.root, this.mtime);
    this.root.setMode(0o755);
    this.marked.addImplied('', this.mtime);
  }

  /** The directory at a clean path. Missing directories are made. */
  directory(path: string): Directory {
    return this.#rooted.directory(path);
  }

  /**
   * The directory for a marker. Undefined below a file of this layer or a lower one, where a marker can hide nothing.
   */
  directoryForMarker(path: string): Directory | undefined {
    const directory = this.#rooted.directoryWhereFree(path);
    if (directory === undefined && this.#lowers !== undefined) this.#deadEnd(path);
    return directory;
  }

  find(path: string): Directory | undefined {
    return this.#rooted.find(path);
  }

  /** Makes `name` by an exclusive call, and replaces any existing file of that name. */
  put<T>(parent: Directory, name: string, create: (fd: number, name: Uint8Array) => T): T {
    const { value, over } = this.#rooted.put(parent, name, create);
    if (over !== undefined && isWhiteout(over)) this.marked.removeWhiteout(parent.path);
    return value;
  }

  /** Makes the directory of an entry, or returns the existing one. */
  makeDirectory(
    parent: Directory,
    name: string,
    mode: number,
  ): { directory: Directory; state: 'new' | 'old' } {
    const { directory, made, over } = this.#rooted.make(parent, name, this.metadata.modeOfNew(mode));
    const implied = this.marked.makeExplicit(directory.path);
    if (!made && !implied) this.takeBack(directory.path, 'self');
    if (over !== undefined && isWhiteout(over)) this.#unhide(parent.path, directory);
    return { directory, state: made ? 'new' : 'old' };
  }

  opaque(directory: Directory): void {
    if (!this.marked.addOpaque(directory.path)) return;
    this.#budget.remember(directory.path);
    if (this.#publication === undefined) fsetxattr(directory.fd, OPAQUE_XATTR, YES, directory.path);
  }

  /**
   * Hides `name` of the trees below. This layer's own file of that name stays; its directory stays without the lower
   * content.
   */
  whiteout(parent: Directory, name: string): void {
    try {
      mknodAt(parent.changingFd, Buffer.from(name, 'latin1'), S.IFCHR);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      const directory = this.#rooted.child(parent, name);
      if (directory === undefined || !this.marked.addHidden(directory.path)) return;
      if (!this.#isHollow(directory)) {
        this.opaque(directory);
        return;
      }
      this.put(parent, name, (fd, bytes) => mknodAt(fd, bytes, S.IFCHR));
    }
    if (this.marked.addWhiteout(parent.path)) this.#budget.remember(parent.path);
    this.#manifest.whiteout(pathOf(parent, name));
  }

  /** Writes the lines that depend on the last entry, and applies the saved attributes of open directories. */
  finish(): void {
    const meaningless = this.marked.meaninglessDirs();
    for (const path of this.marked.coveredWhiteoutDirs()) this.#removeWhiteouts(path);
    for (const path of meaningless) this.#removeEmpty(path);
    for (const [path, mtime] of this.marked.implied()) {
      this.#budget.checkpoint();
      this.#manifest.directory(path, this.metadata.impliedAttributes(path, mtime));
    }
    for (const path of this.marked.opaqueDirs()) this.#manifest.opaque(path);
    this.#rooted.finish();
  }

  /** Adds a line to the manifest that takes back the earlier lines about the path. */
  takeBack(path: string, scope: 'tree' | 'self'): void {
    this.#manifest.removed(path, scope);
    if (this.#takenBack.has(path)) return;
    this.#budget.remember(path);
    this.#takenBack.add(path);
  }

  /** Blocks of 512 bytes that directories take. Exact after `finish`, if nothing was taken back. */
  get directoryBlocks(): number {
    return this.#rooted.directoryBlocks;
  }

  /** Removes a name of the root with everything below it, as if the archive had never contained it. */
  drop(name: string): void {
    if (statIfThere(this.root.fd, Buffer.from(name, 'latin1')) !== undefined)
      this.#rooted.remove(this.root, name);
  }

  abandon(): void {
    this.#rooted.abandon();
  }

  /**
   * Returns true for a directory that exists only because markers lie below it: without the directory they have no
   * meaning.
   */
  #isHollow(directory: Directory): boolean {
    const inside: string[] = [directory.path];
    for (let path = inside.pop(); path !== undefined; path = inside.pop()) {
      const at = this.find(path);
      if (at === undefined || !this.marked.isImplied(path)) return false;
      for (const { name } of at.entries()) {
        // Each directory on the way may have its own whiteout, so the directories are examined one by one.
        this.#budget.look();
        const stat = statAt(at.fd, bytesOf(name));
        if (isDirectory(stat)) inside.push(pathOf(at, name));
        else if (!isWhiteout(stat)) return false;
      }
    }
    return true;
  }

  #linkBelow(path: ByteName): Uint8Array | undefined {
    if (this.#lowers === undefined || this.marked.isCovered(path)) return undefined;
    this.#budget.look(path);
    const target = this.#lowers.linkAt(path);
    if (target !== undefined) this.dependsOnLower = true;
    return target;
  }

  #otherBelow(path: ByteName): boolean {
    if (this.#lowers === undefined || this.marked.isCovered(path)) return false;
    const found = this.#lowers.find(path) !== undefined;
    if (found) this.dependsOnLower = true;
    return found;
  }

  #implied(directory: Directory, over: Stat | undefined): void {
    this.#budget.entry();
    this.#budget.remember(directory.path);
    this.marked.addImplied(directory.path, this.mtime);
    this.metadata.implied(directory, this.mtime);
    if (over !== undefined && isWhiteout(over)) this.#unhide(parentOf(directory.path), directory);
  }

  /** A directory of this layer replaced a whiteout. The directory must still hide the lower one. */
  #unhide(parent: string, directory: Directory): void {
    this.marked.removeWhiteout(parent);
    this.marked.addHidden(directory.path);
    this.opaque(directory);
  }

  #removed(path: ByteName, kind: 'directory' | 'other'): void {
    this.takeBack(path, kind === 'directory' ? 'tree' : 'self');
    if (kind !== 'directory') return;
    this.marked.forget(path);
    this.metadata.own?.forgetDirectory(path);
  }

  /**
   * Removes whiteouts inside an opaque directory: overlayfs lists such a whiteout and then does not find it
   * ("?????????" in `ls -l`).
   */
  #removeWhiteouts(path: string): void {
    const directory = this.find(path);
    if (directory === undefined) return;
    for (const { name, type } of directory.entries()) {
      this.#budget.checkpoint();
      if (type !== DT.CHR && type !== DT.UNKNOWN) continue;
      if (!isWhiteout(statAt(directory.fd, bytesOf(name)))) continue;
      unlinkAt(directory.changingFd, bytesOf(name));
      this.takeBack(pathOf(directory, name), 'self');
      this.marked.removeWhiteout(path);
    }
  }

  /**
   * Records the nearest existing directory above `path`: it was made for a marker below a file of a lower layer, and
   * such a marker hides nothing.
   */
  #deadEnd(path: string): void {
    for (let above = parentOf(path); above !== ''; above = parentOf(above)) {
      const directory = this.find(above);
      if (directory === undefined) continue;
      if (this.marked.addDeadEnd(directory.path)) this.#budget.remember(directory.path);
      return;
    }
  }

  /** Removes an implied directory if it is empty, then its parents likewise: without markers they would not exist. */
  #removeEmpty(from: string): void {
    for (let path = from; path !== ''; path = parentOf(path)) {
      this.#budget.checkpoint();
      const above = parentOf(path);
      if (!this.marked.isImplied(path) || !this.marked.isCovered(above)) return;
      const [directory, parent] = [this.find(path), this.find(above)];
      if (directory === undefined || parent === undefined || !isEmpty(directory)) return;
      this.#rooted.remove(parent, above === '' ? path : path.slice(above.length + 1));
    }
  }
}

function isEmpty(directory: Directory): boolean {
  for (const _ of directory.entries()) return false;
  return true;
}

export function pathOf(directory: Directory, name: string): ByteName {
  return (directory.path === '' ? name : `${directory.path}/${name}`) as ByteName;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
