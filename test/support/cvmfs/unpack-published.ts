/**
 * A layer's tar into a directory, as publishers do it that unpack the tar into a writable repository and publish the
 * tree (the agent of the 2017 layout ran bsdtar): names twice are no error and the last one counts, links lead
 * elsewhere, and a directory's own entry counts whenever it comes. Hard links become files of their own, extended
 * attributes are lost, directories that the tar lacks have the publisher's ids and the present time.
 */
import { type ByteName, bytesOf } from '../../../lib/base/bytes.ts';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { printable } from '../../../lib/base/text.ts';
import { CATALOG, markerOf } from '../../../lib/cvmfs/markers.ts';
import type { LayerEntry } from '../../../lib/layer/tar/entry.ts';
import { cleanName, splitName } from '../../../lib/layer/tar/entry-name.ts';
import type { Directory } from '../../../lib/sys/files/directory.ts';
import { RootedTree } from '../../../lib/sys/files/rooted.ts';
import {
  chownAt,
  close,
  fchmod,
  fchown,
  futimes,
  symlinkAt,
  type Timespec,
  utimesAt,
  writeAll,
} from '../../../lib/sys/kernel/files.ts';
import { isDirectory, statIfThere } from '../../../lib/sys/kernel/stat.ts';
import { type CloneSource, cloneFile, create, makeFifo } from './clone-file.ts';
import type { Ingested, IngestOptions, Publication } from './ingested.ts';

type Made = Exclude<LayerEntry, { kind: 'device' }>;

export class UnpackedTree implements Publication {
  readonly #tree: RootedTree;
  readonly #options: IngestOptions;
  readonly #implied = new Map<ByteName, Timespec>();
  /** Of the entry at work. */
  #time: Timespec = { sec: 0, nsec: 0 };
  #entries = 0;
  #fileBytes = 0;
  #explicitRoot = false;
  /** The file whose content comes next. */
  #file: { readonly fd: number; readonly entry: LayerEntry; readonly parent: Directory } | undefined;

  constructor(target: string, options: IngestOptions) {
    this.#options = options;
    this.#tree = new RootedTree(target, {
      linkBelow: () => undefined,
      implied: (directory) => this.#makeUp(directory),
      removed: (path) => {
        this.#implied.delete(path);
      },
    });
    this.#dressAsPublished(this.#tree.root);
  }

  entry(entry: LayerEntry): void {
    this.#entries += 1;
    this.#time = entry.mtime;
    const [parentPath, name] = splitName(cleanName(entry.name));
    if (name === '') {
      if (entry.kind !== 'directory') throw new PluginError('LAYER_ROOT_REPLACED', { entry: shown(entry) });
      this.#explicitRoot = true;
      this.#dress(this.#tree.root, entry);
      return;
    }
    if (entry.kind === 'device') {
      // The publisher's user may not make them.
      return;
    }
    // Below a file there is nothing that a marker could hide; unpackers leave such markers out.
    const marker = entry.kind === 'file' && markerOf(name as ByteName) !== undefined;
    const parent = marker ? this.#tree.directoryWhereFree(parentPath) : this.#tree.directory(parentPath);
    parent?.hold(() => this.#make(parent, name, entry));
  }

  content(bytes: Uint8Array): void {
    if (this.#file) writeAll(this.#file.fd, bytes);
  }

  endOfContent(): void {
    if (!this.#file) return;
    const { fd, entry } = this.#file;
    this.#file = undefined;
    this.#finishFile(fd, entry);
  }

  finish(): Ingested {
    this.#writeCatalog();
    this.#tree.finish();
    return {
      entries: this.#entries,
      fileBytes: this.#fileBytes,
      late: new Set(),
      implied: this.#implied,
      explicitRoot: this.#explicitRoot,
    };
  }

  abandon(): void {
    if (this.#file) close(this.#file.fd);
    this.#tree.abandon();
  }

  #make(parent: Directory, name: string, entry: Made): void {
    switch (entry.kind) {
      case 'file':
        this.#fileBytes += entry.size;
        this.#beginFile(parent, name, entry);
        return;
      case 'directory':
        this.#makeDirectory(parent, name, entry);
        return;
      case 'symlink':
        this.#tree.put(parent, name, (fd, bytes) => {
          symlinkAt(bytesOf(entry.target), fd, bytes);
          const { uid, gid } = this.#owner(entry);
          chownAt(fd, bytes, uid, gid);
          utimesAt(fd, bytes, entry.mtime);
        });
        return;
      case 'hardlink':
        this.#clone(parent, name, entry);
        return;
      case 'fifo':
        this.#finishFile(this.#tree.put(parent, name, makeFifo).value, entry);
        return;
    }
  }

  #beginFile(parent: Directory, name: string, entry: LayerEntry & { kind: 'file' }): void {
    const { value: fd } = this.#tree.put(parent, name, create);
    this.#file = { fd, entry, parent };
  }

  #makeDirectory(parent: Directory, name: string, entry: LayerEntry): void {
    const there = this.#tree.make(parent, name, 0o700).directory;
    this.#implied.delete(there.path);
    this.#dress(there, entry);
  }

  /** A file of its own with the same content and attributes: the ingest command clones hard links. */
  #clone(parent: Directory, name: string, entry: LayerEntry & { kind: 'hardlink' }): void {
    const [targetParent, targetName] = splitName(cleanName(entry.target));
    // The same name, perhaps by another way: what has it is the link already.
    if (name === targetName && this.#tree.find(targetParent)?.path === parent.path) {
      this.#linkTarget(entry);
      return;
    }
    // What makes room for the link may hold its target: it is looked for again then.
    this.#tree.put(parent, name, (fd, bytes) => cloneFile(this.#linkTarget(entry), fd, bytes));
  }

  /** @throws LAYER_BAD_HARDLINK when nothing is there that can have two names */
  #linkTarget(entry: LayerEntry & { kind: 'hardlink' }): CloneSource {
    const [parent, name] = splitName(cleanName(entry.target));
    const from = this.#tree.find(parent);
    const bytes = Buffer.from(name, 'latin1');
    const stat = from && statIfThere(from.fd, bytes);
    if (from === undefined || stat === undefined || isDirectory(stat)) {
      throw new PluginError('LAYER_BAD_HARDLINK', {
        entry: shown(entry),
        target: printable(bytesOf(entry.target)),
      });
    }
    return { fd: from.fd, name: bytes, stat };
  }

  #finishFile(fd: number, entry: LayerEntry): void {
    try {
      const { uid, gid } = this.#owner(entry);
      fchown(fd, uid, gid);
      // After chown(2), which clears set-id bits.
      fchmod(fd, entry.mode);
      futimes(fd, entry.mtime);
    } finally {
      close(fd);
    }
  }

  #dress(directory: Directory, entry: LayerEntry): void {
    const { uid, gid } = this.#owner(entry);
    directory.setOwner(uid, gid);
    directory.setMode(entry.mode);
    directory.setTime(entry.mtime);
  }

  #makeUp(directory: Directory): void {
    this.#implied.set(directory.path, this.#time);
    this.#dressAsPublished(directory);
  }

  #dressAsPublished(directory: Directory): void {
    const { uid, gid, time } = this.#options.publisher;
    directory.setOwner(uid, gid);
    directory.setMode(0o755);
    directory.setTime(time);
  }

  #owner(entry: LayerEntry): { uid: number; gid: number } {
    return this.#options.keepOwners ? entry : this.#options.publisher;
  }

  #writeCatalog(): void {
    const { uid, gid, time } = this.#options.publisher;
    const { value: fd } = this.#tree.put(this.#tree.root, CATALOG, create);
    fchown(fd, uid, gid);
    fchmod(fd, 0o664);
    futimes(fd, time);
    close(fd);
  }
}

function shown(entry: LayerEntry): string {
  return printable(bytesOf(entry.name));
}
