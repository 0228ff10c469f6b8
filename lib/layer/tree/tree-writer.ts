/** Writes the entries of an archive as a tree and its manifest. */
import { byteName } from '../../base/bytes.ts';
import { bytesOnDisk } from '../../base/disk-blocks.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { close, ftruncate, mknodAt, openAt, skip, symlinkAt, writeAll } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { S, statAt, statFd } from '../../sys/kernel/stat.ts';
import { ContentHash } from '../manifest/content-hash.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import type { LayerEntry } from '../tar/entry.ts';
import { cleanName, type EntryMeaning, isAufsName, meaningOf } from '../tar/entry-name.ts';
import { bad, shown } from '../tar/header.ts';
import type { TarSink } from '../tar/reader.ts';
import { makeBaseDirectory } from './base-directory.ts';
import type { Budget } from './budget.ts';
import { DiskSize } from './disk-size.ts';
import { HardLinks } from './hard-links.ts';
import { LayerTree, pathOf } from './layer-tree.ts';
import { LowerTrees } from './lower-trees.ts';
import { asLayerError } from './metadata.ts';
import type { UnpackRequest, UnpackResult } from './types.ts';

/** PATH_MAX without its NUL (linux/limits.h): the kernel stores no longer link target. */
const MAX_TARGET = 4095;
const NEW_FILE = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;

export type TreeResult = Pick<
  UnpackResult,
  | 'fileBytes'
  | 'explicitRoot'
  | 'impliedDirs'
  | 'whiteoutDirs'
  | 'opaqueDirs'
  | 'skippedDevices'
  | 'droppedXattrs'
  | 'dependsOnLower'
  | 'lostOwners'
  | 'closedDirs'
> & {
  /**
   * Bytes that the tree takes on the disk. Undefined where something was removed or copied: then the tree must be
   * measured. 0 for a publication, whose disk use nobody asks for.
   */
  readonly treeBytes: number | undefined;
};

type FileEntry = Extract<LayerEntry, { kind: 'file' }>;

interface OpenFile {
  readonly fd: number;
  readonly entry: FileEntry;
  readonly path: string;
}

export class TreeWriter implements TarSink {
  readonly #tree: LayerTree;
  readonly #links: HardLinks;
  readonly #manifest: TreeManifestWriter;
  readonly #budget: Budget;
  readonly #lowers: LowerTrees | undefined;
  /** Clean path of the directory below which all entries go; `''` for the root itself. */
  readonly #base: string;
  readonly #isPublication: boolean;
  readonly #hash = new ContentHash();
  /** Names of AUFS in the root, which are removed at the end. */
  readonly #aufs = new Set<string>();
  #file: OpenFile | undefined;
  #fileBytes = 0;
  /** Bytes written to the open file. */
  #written = 0;
  readonly #disk = new DiskSize();
  #skippedDevices = 0;
  #explicitRoot = false;

  constructor(request: UnpackRequest, budget: Budget, manifest: TreeManifestWriter) {
    this.#manifest = manifest;
    this.#budget = budget;
    this.#isPublication = request.publication !== undefined;
    this.#base = request.base === undefined ? '' : cleanName(byteName(Buffer.from(request.base.directory)));
    this.#lowers = request.lowers === undefined ? undefined : new LowerTrees(request.lowers, budget);
    try {
      this.#tree = new LayerTree(request, budget, manifest, this.#lowers);
    } catch (error) {
      this.#lowers?.close();
      throw error;
    }
    this.#links = new HardLinks(this.#tree, manifest, budget);
    try {
      this.#tree.startRoot();
      makeBaseDirectory(this.#tree, manifest, this.#base, request.base?.parentTree);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  entry(entry: LayerEntry): void {
    this.#budget.entry();
    if (entry.xattrs.length > 0) this.#budget.attributes(entry.xattrs);
    if (entry.kind === 'file' && entry.sparse !== undefined) this.#budget.sparse(entry.size, entry.sparse);
    this.#tree.mtime = entry.mtime;
    try {
      this.#put(entry, cleanName(entry.name));
    } catch (error) {
      throw asLayerError(error, shown(entry.name));
    }
  }

  content(bytes: Uint8Array): void {
    if (this.#file === undefined) return;
    writeAll(this.#file.fd, bytes, this.#file.path);
    this.#written += bytes.length;
    this.#hash.update(bytes);
  }

  hole(bytes: number): void {
    if (this.#file === undefined) return;
    skip(this.#file.fd, bytes);
    this.#hash.zeros(bytes);
  }

  endOfContent(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const { size, sparse } = file.entry;
    try {
      const attributes = this.#tree.metadata.file(file.fd, file.entry, file.path);
      this.#disk.file(size, this.#written, file.entry.xattrs, () => statFd(file.fd));
      this.#manifest.file(file.path, attributes, size, this.#hash.finish());
    } finally {
      close(file.fd);
    }
    this.#fileBytes += sparse?.stored ?? size;
  }

  /** Ends the archive. @throws PluginError LAYER_NEEDS_LOWER, LAYER_BAD_HARDLINK */
  finish(): TreeResult {
    try {
      this.#links.finish(this.#lowers);
    } catch (error) {
      throw asLayerError(error, '');
    }
    for (const name of this.#aufs) this.#tree.drop(name);
    this.#tree.finish();
    this.#lowers?.close();
    const { marked, metadata, dependsOnLower } = this.#tree;
    return {
      fileBytes: this.#fileBytes + this.#budget.copiedBytes,
      explicitRoot: this.#explicitRoot,
      impliedDirs: marked.impliedDirs(),
      whiteoutDirs: marked.whiteoutDirs(),
      opaqueDirs: marked.opaqueDirs(),
      skippedDevices: this.#skippedDevices,
      droppedXattrs: metadata.droppedXattrs,
      dependsOnLower,
      lostOwners: metadata.own?.lost(),
      closedDirs: metadata.own?.closedDirs(),
      treeBytes: this.#treeBytes(),
    };
  }

  #treeBytes(): number | undefined {
    if (this.#isPublication) return 0;
    if (this.#manifest.gone > 0 || this.#lowers !== undefined) return undefined;
    return this.#disk.bytes + bytesOnDisk({ blocks: this.#tree.directoryBlocks });
  }

  /** Closes every descriptor after a failure. The caller removes the tree. */
  abandon(): void {
    if (this.#file !== undefined) close(this.#file.fd);
    this.#file = undefined;
    this.#tree.abandon();
    this.#lowers?.close();
  }

  #put(entry: LayerEntry, clean: string): void {
    const meaning = meaningOf(clean);
    switch (meaning.kind) {
      case 'root':
        this.#root(entry);
        return;
      // The name alone makes an entry a marker: its type and its content are ignored.
      case 'opaque':
      case 'whiteout':
        this.#mark(meaning);
        return;
      case 'name':
        if (isAufsName(clean)) this.#aufs.add(clean.split('/', 1)[0] ?? clean);
        this.#make(entry, meaning);
    }
  }

  #mark(meaning: Extract<EntryMeaning, { kind: 'opaque' | 'whiteout' }>): void {
    const parent = this.#tree.directoryForMarker(this.#inBase(meaning.parent));
    if (parent === undefined) return;
    if (meaning.kind === 'opaque') this.#tree.opaque(parent);
    else this.#tree.whiteout(parent, meaning.name);
  }

  #inBase(clean: string): string {
    if (this.#base === '') return clean;
    return clean === '' ? this.#base : `${this.#base}/${clean}`;
  }

  /**
   * Sets the attributes of the root. An entry that is no directory is refused: a link there would lead all later
   * entries elsewhere.
   */
  #root(entry: LayerEntry): void {
    if (entry.kind !== 'directory')
      throw new PluginError('LAYER_ROOT_REPLACED', { entry: shown(entry.name) });
    const directory = this.#tree.directory(this.#base);
    if (this.#base !== '' || this.#explicitRoot) this.#tree.takeBack(directory.path, 'self');
    else this.#tree.marked.makeExplicit('');
    this.#manifest.directory(directory.path, this.#tree.metadata.directory(directory, entry, 'old'));
    if (this.#base === '') this.#explicitRoot = true;
  }

  #make(entry: LayerEntry, { parent: parentName, name }: Extract<EntryMeaning, { kind: 'name' }>): void {
    const parent = this.#tree.directory(this.#inBase(parentName));
    const path = pathOf(parent, name);
    if (entry.kind === 'device') {
      this.#skippedDevices += 1;
      return;
    }
    if (entry.kind === 'hardlink') {
      this.#links.add(path, this.#inBase(cleanName(entry.target)));
      return;
    }
    this.#links.cancel(path);
    // Checked before the file is made: a file of an id outside the mapping must not belong to our id even for a moment.
    this.#tree.metadata.owner(entry);
    switch (entry.kind) {
      case 'file':
        this.#openFile(entry, parent, name);
        return;
      case 'directory': {
        const { directory, state } = this.#tree.makeDirectory(parent, name, entry.mode);
        this.#manifest.directory(path, this.#tree.metadata.directory(directory, entry, state));
        return;
      }
      case 'symlink': {
        if (entry.target === '') bad(entry.name, 'a symbolic link to nothing');
        if (entry.target.length > MAX_TARGET) throw targetTooLong(entry.name);
        const target = Buffer.from(entry.target, 'latin1');
        const attributes = this.#tree.put(parent, name, (fd, bytes) => {
          symlinkAt(target, fd, bytes);
          const line = this.#tree.metadata.node(fd, bytes, entry);
          this.#disk.node(entry.target, entry.xattrs, () => statAt(fd, bytes));
          return line;
        });
        this.#manifest.symlink(path, attributes, entry.target);
        return;
      }
      case 'fifo': {
        const attributes = this.#tree.put(parent, name, (fd, bytes) => {
          mknodAt(fd, bytes, S.IFIFO | (entry.mode & 0o777));
          const line = this.#tree.metadata.node(fd, bytes, entry);
          this.#disk.node('', entry.xattrs, () => statAt(fd, bytes));
          return line;
        });
        this.#manifest.fifo(path, attributes);
      }
    }
  }

  #openFile(entry: FileEntry, parent: Directory, name: string): void {
    const fd = this.#tree.put(parent, name, (at, bytes) =>
      openAt(at, bytes, NEW_FILE, this.#tree.metadata.fileModeWhileMade(entry.mode)),
    );
    const path = pathOf(parent, name);
    this.#file = { fd, entry, path };
    // ftruncate(2) comes before any write: XFS allocates more than is written after the end of a file, and would keep
    // that space if the file grew later.
    if (entry.sparse !== undefined) ftruncate(fd, entry.size, path);
    this.#written = 0;
  }
}

function targetTooLong(name: string): PluginError {
  return new PluginError('LAYER_NAME_TOO_LONG', { entry: shown(name), limit: MAX_TARGET });
}
