/**
 * A layer's tar into a directory, as CernVM-FS's ingest command (2.12, `-c -b DIRECTORY -t TAR`) publishes it. Seen on a
 * real 2.12 swissknife:
 *  - markers of whiteouts stay the files that they are in the tar, devices are kept;
 *  - a directory counts with the first that is heard of it: a dummy (0755, ids of the publisher or -1, the time of
 *    publication) where an entry below it comes first, and its own entry is ignored when it comes later;
 *  - the same marker twice, and a whiteout `.wh..NAME` before a file `.NAME`, abort it (`assert` in catalog_rw.cc);
 *  - with `-k` dummies, and the directories around the layer, belong to -1, which clients show as 65534; without it
 *    everything belongs to the user that `-u` names, and the catalog file to who runs the command;
 *  - hard links become files of their own, made last; their targets must be in the tar.
 * Read in its sources (sync_union_tarball.cc, catalog_rw.cc), not seen: names are texts that no link is followed for, and
 * any of them twice, other than a directory's, aborts as the marker does; of two entries of a directory the first counts.
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
  chmodAt,
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
import { statAt } from '../../../lib/sys/kernel/stat.ts';
import { cloneFile, create, makeDevice, makeFifo, makeWhiteout } from './clone-file.ts';
import {
  dummyIds,
  type Ids,
  IngestAborted,
  type Ingested,
  type IngestOptions,
  type Publication,
} from './ingested.ts';

export class IngestedTree implements Publication {
  readonly #tree: RootedTree;
  readonly #options: IngestOptions;
  /** What each name is, by the text that the tar has. */
  readonly #known = new Map<string, 'directory' | 'other'>();
  readonly #implied = new Map<ByteName, Timespec>();
  readonly #late = new Set<ByteName>();
  readonly #links: { readonly path: string; readonly target: string }[] = [];
  #entries = 0;
  #fileBytes = 0;
  #explicitRoot = false;
  /** The file whose content comes next. */
  #file: { readonly fd: number; readonly entry: LayerEntry } | undefined;

  constructor(target: string, options: IngestOptions) {
    this.#options = options;
    this.#tree = new RootedTree(target, {
      linkBelow: () => undefined,
      implied: (directory) => this.#makeUp(directory),
      removed: () => undefined,
    });
    if (options.intoRepository !== true) this.#makeUp(this.#tree.root);
  }

  entry(entry: LayerEntry): void {
    this.#entries += 1;
    const path = cleanName(entry.name);
    // The command makes a catalog of any such name, and panics where it is no file.
    if (splitName(path)[1] === CATALOG && !['file', 'hardlink'].includes(entry.kind))
      throw new IngestAborted('bad_catalog', path);
    if (path === '') {
      this.#root(entry);
      return;
    }
    const [parentPath, name] = splitName(path);
    const parent = this.#parent(parentPath, entry.mtime);
    parent.hold(() => this.#make(parent, path, name, entry));
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
    // By their targets, as in the map that the command keeps them in.
    const links = this.#links.toSorted((a, b) => (a.target < b.target ? -1 : a.target > b.target ? 1 : 0));
    for (const link of links) this.#clone(link.path, link.target);
    if (this.#options.intoRepository !== true) this.#writeCatalog();
    this.#tree.finish();
    return {
      entries: this.#entries,
      fileBytes: this.#fileBytes,
      implied: this.#implied,
      late: this.#late,
      explicitRoot: this.#explicitRoot,
    };
  }

  abandon(): void {
    if (this.#file) close(this.#file.fd);
    this.#tree.abandon();
  }

  #root(entry: LayerEntry): void {
    if (entry.kind !== 'directory')
      throw new PluginError('LAYER_ROOT_REPLACED', { entry: printable(bytesOf(entry.name)) });
    if (this.#known.has('')) {
      if (!this.#explicitRoot) this.#late.add('' as ByteName);
      return;
    }
    this.#known.set('', 'directory');
    this.#explicitRoot = true;
    this.#dress(this.#tree.root, entry);
  }

  /** The directory of a name, with dummies for what is missing on the way. */
  #parent(path: string, time: Timespec): Directory {
    this.#known.set('', 'directory');
    const parts = path === '' ? [] : path.split('/');
    for (const [index] of parts.entries()) {
      const at = parts.slice(0, index + 1).join('/');
      const known = this.#known.get(at);
      if (known === 'other') throw new IngestAborted('below_other', at);
      if (known === 'directory') continue;
      this.#known.set(at, 'directory');
      this.#implied.set(at as ByteName, time);
      this.#tree.directory(at);
    }
    return this.#tree.directory(path);
  }

  #make(parent: Directory, path: string, name: string, entry: LayerEntry): void {
    if (entry.kind === 'directory') {
      this.#makeDirectory(parent, path, name, entry);
      return;
    }
    if (entry.kind === 'hardlink') {
      this.#links.push({ path, target: cleanName(entry.target) });
      return;
    }
    this.#claim(path);
    this.#refuseAfterWhiteout(path);
    switch (entry.kind) {
      case 'file':
        this.#fileBytes += entry.size;
        this.#file = { fd: this.#tree.put(parent, name, create).value, entry };
        return;
      case 'fifo':
        this.#finishFile(this.#tree.put(parent, name, makeFifo).value, entry);
        return;
      case 'symlink':
      case 'device':
        this.#tree.put(parent, name, (fd, bytes) => this.#node(fd, bytes, entry));
        return;
    }
  }

  #makeDirectory(parent: Directory, path: string, name: string, entry: LayerEntry): void {
    const known = this.#known.get(path);
    if (known === 'other') throw new IngestAborted('name_twice', path);
    if (known === 'directory') {
      if (this.#implied.has(path as ByteName)) this.#late.add(path as ByteName);
      return;
    }
    this.#known.set(path, 'directory');
    this.#dress(this.#tree.make(parent, name, 0o700).directory, entry);
  }

  #node(fd: number, bytes: Uint8Array, entry: LayerEntry & { kind: 'symlink' | 'device' }): void {
    if (entry.kind === 'symlink') symlinkAt(bytesOf(entry.target), fd, bytes);
    else if (this.#options.intoRepository === true && entry.isWhiteout) makeWhiteout(fd, bytes);
    else makeDevice(fd, bytes);
    const { uid, gid } = this.#owner(entry);
    chownAt(fd, bytes, uid, gid);
    if (entry.kind === 'device') chmodAt(fd, bytes, entry.mode);
    utimesAt(fd, bytes, entry.mtime);
  }

  /** Catalogs hold a path once. */
  #claim(path: string): void {
    if (this.#known.has(path)) throw new IngestAborted('name_twice', path);
    this.#known.set(path, 'other');
  }

  #refuseAfterWhiteout(path: string): void {
    const [parent, name] = splitName(path);
    if (!name.startsWith('.') || markerOf(name as ByteName) !== undefined) return;
    const marker = `.wh.${name}`;
    if (this.#known.has(parent === '' ? marker : `${parent}/${marker}`))
      throw new IngestAborted('whiteout_and_name', path);
  }

  #clone(path: string, target: string): void {
    if (this.#known.get(target) !== 'other') throw new IngestAborted('bad_link', path);
    this.#claim(path);
    const [fromPath, from] = splitName(target);
    const source = this.#tree.directory(fromPath);
    source.hold(() => {
      const bytes = Buffer.from(from, 'latin1');
      const stat = statAt(source.fd, bytes);
      const [parentPath, name] = splitName(path);
      this.#tree.put(this.#tree.directory(parentPath), name, (fd, to) =>
        cloneFile({ fd: source.fd, name: bytes, stat }, fd, to),
      );
    });
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
    const { uid, gid } = dummyIds(this.#options);
    directory.setOwner(uid, gid);
    directory.setMode(0o755);
    directory.setTime(this.#options.publisher.time);
  }

  #owner(entry: LayerEntry): Ids {
    const { keepOwners, user, publisher } = this.#options;
    return keepOwners ? entry : (user ?? publisher);
  }

  #writeCatalog(): void {
    this.#claim(CATALOG);
    const { uid, gid, time } = this.#options.publisher;
    const { value: fd } = this.#tree.put(this.#tree.root, CATALOG, create);
    fchown(fd, uid, gid);
    fchmod(fd, 0o664);
    futimes(fd, time);
    close(fd);
  }
}
