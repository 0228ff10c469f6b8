/** Writes the lost attributes of a layer's entries into its mask, while the tar is read. */

import { bytesOf } from '../../base/bytes.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import { MiB } from '../../base/limits.ts';
import type { LayerEntry } from '../../layer/tar/entry.ts';
import { cleanName, isAufsName, meaningOf, splitName } from '../../layer/tar/entry-name.ts';
import type { TarSink } from '../../layer/tar/reader.ts';
import { Metadata } from '../../layer/tree/metadata.ts';
import type { LayerBudget } from '../../layer/tree/types.ts';
import { chooseXattrs } from '../../layer/tree/xattrs.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, linkAt, mknodAt, openAt, symlinkAt, writeAll } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { S, type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import type { ImageLayer } from '../source/image-layer.ts';
import type { LayerBytes } from '../source/source.ts';
import { Unrepairable } from './doubts.ts';
import { LayerTree } from './layer-tree.ts';

/** The most bytes of a repair. A layer whose files nearly all lost attributes is better taken from its source whole. */
const MAX_REPAIR_BYTES = 64 * MiB;
const TYPES = { file: S.IFREG, directory: S.IFDIR, symlink: S.IFLNK, fifo: S.IFIFO } as const;

export interface RepairRequest {
  readonly layer: ImageLayer;
  readonly bytes: LayerBytes;
  readonly budget: LayerBudget;
  /** The tree on CVMFS, which publication damaged. */
  readonly damaged: string;
  /** An empty directory, which becomes the mask's tree. */
  readonly target: string;
  readonly mappings: IdMappings;
  /** Directories whose attributes may be wrong in the published tree. */
  readonly guessed: ReadonlySet<string>;
  /** The ids that a container sees for a file of the tree. */
  shown(stat: Pick<Stat, 'uid' | 'gid'>): { uid: number; gid: number };
}

export interface Repaired {
  readonly entries: number;
  readonly repaired: number;
  readonly copiedBytes: number;
  /** Repaired directories with an entry of their own, perhaps with `''`: the tar does not imply them. */
  readonly explicitDirs: ReadonlySet<string>;
}

function behindLink(): Unrepairable {
  return new Unrepairable('an entry of its tar lies behind a link');
}

type Made = Exclude<LayerEntry, { kind: 'hardlink' | 'device' }>;

export class RepairSink implements TarSink {
  readonly #request: RepairRequest;
  readonly #damaged: LayerTree;
  readonly #tree: RootedTree;
  readonly #metadata: Metadata;
  readonly #explicitDirs = new Set<string>();
  /** Names that are links at this point of the tar. Later entries may replace them. */
  readonly #links = new Set<string>();
  /** Targets of hard links that were not in the mask when the links came. */
  readonly #targets = new Set<string>();
  #file: { readonly fd: number; readonly entry: LayerEntry; readonly path: string } | undefined;
  #entries = 0;
  #repaired = 0;
  #copied = 0;

  constructor(request: RepairRequest) {
    this.#request = request;
    this.#damaged = new LayerTree(request.damaged);
    this.#tree = new RootedTree(request.target, {
      linkBelow: () => undefined,
      implied: (directory) => this.#likePublished(directory),
      removed: (path) => {
        this.#explicitDirs.delete(path);
      },
    });
    this.#metadata = new Metadata(request.mappings, this.#tree.root.changingFd);
    this.#likePublished(this.#tree.root);
  }

  entry(entry: LayerEntry): void {
    this.#entries += 1;
    const clean = cleanName(entry.name);
    const meaning = meaningOf(clean);
    if (meaning.kind === 'root' && entry.kind === 'directory') {
      this.#metadata.directory(this.#tree.root, entry, 'old');
      this.#explicitDirs.add('');
    }
    // Devices and AUFS's own names are hidden.
    if (meaning.kind !== 'name' || entry.kind === 'device' || isAufsName(clean)) return;
    const { parent, name } = meaning;
    this.#noteLink(clean, parent, entry);
    if (entry.kind === 'hardlink') this.#link(parent, name, cleanName(entry.target));
    // A repaired name follows its later entries too, since the last one counts.
    else if (this.#has(parent, name) || this.#isLost(parent, name, entry)) this.#write(parent, name, entry);
  }

  content(bytes: Uint8Array): void {
    if (this.#file) writeAll(this.#file.fd, bytes);
  }

  endOfContent(): void {
    if (!this.#file) return;
    const { fd, entry, path } = this.#file;
    this.#file = undefined;
    try {
      this.#metadata.file(fd, entry, path);
    } finally {
      close(fd);
    }
  }

  finish(): Repaired {
    this.#tree.finish();
    this.#damaged.close();
    return {
      entries: this.#entries,
      repaired: this.#repaired,
      copiedBytes: this.#copied,
      explicitDirs: this.#explicitDirs,
    };
  }

  abandon(): void {
    if (this.#file) close(this.#file.fd);
    this.#tree.abandon();
    this.#damaged.close();
  }

  /** @throws Unrepairable for an entry that went where a link leads: the published tree has it under another name */
  #noteLink(path: string, parent: string, entry: LayerEntry): void {
    for (let above = parent; this.#links.size > 0 && above !== ''; [above] = splitName(above)) {
      if (this.#links.has(above)) throw behindLink();
    }
    const isLink =
      entry.kind === 'symlink' || (entry.kind === 'hardlink' && this.#links.has(cleanName(entry.target)));
    if (isLink) this.#links.add(path);
    else this.#links.delete(path);
  }

  /** True when the mask has the name. */
  #has(parent: string, name: string): boolean {
    const directory = this.#tree.find(parent);
    return directory !== undefined && statIfThere(directory.fd, Buffer.from(name, 'latin1')) !== undefined;
  }

  /** True when the published tree has the name with the same type and other attributes than the tar. */
  #isLost(parent: string, name: string, entry: Made): boolean {
    const stat = this.#look(parent, name);
    if (stat === undefined || (stat.mode & S.IFMT) !== TYPES[entry.kind]) return false;
    const owner = this.#metadata.owner(entry);
    const shown = this.#request.shown(stat);
    if (entry.kind === 'directory' && this.#isGuessed(parent, name, entry, stat)) return true;
    if (owner.uid !== shown.uid || owner.gid !== shown.gid) return true;
    if (entry.kind === 'symlink') return false;
    return (stat.mode & 0o7777) !== entry.mode || chooseXattrs(entry, this.#request.mappings).set.length > 0;
  }

  /**
   * True when the directory's attributes may be those of another entry: of two entries for a directory, publishing
   * takes the first and the image means the last. Mostly their times tell.
   */
  #isGuessed(parent: string, name: string, { mtime }: LayerEntry, stat: Stat): boolean {
    return this.#request.guessed.has(pathOf(parent, name)) || stat.mtime.sec !== mtime.sec;
  }

  #look(parent: string, name: string): Stat | undefined {
    try {
      return this.#damaged.stat(parent, name);
    } catch (error) {
      if (!hasCode(error, 'ELOOP')) throw error;
      throw behindLink();
    }
  }

  #write(parentPath: string, name: string, entry: Made): void {
    this.#requireBeforeLinks(pathOf(parentPath, name));
    this.#repaired += 1;
    const parent = this.#tree.directory(parentPath);
    parent.hold(() => {
      if (entry.kind === 'directory') {
        const { directory } = this.#tree.make(parent, name, entry.mode & 0o777);
        this.#metadata.directory(directory, entry, 'old');
        this.#explicitDirs.add(directory.path);
      } else if (entry.kind === 'file') this.#begin(parent, name, entry);
      else this.#node(parent, name, entry);
    });
  }

  #begin(parent: Directory, name: string, entry: Made & { kind: 'file' }): void {
    this.#copied += entry.size;
    if (this.#copied > MAX_REPAIR_BYTES) {
      throw new Unrepairable(`it would copy more than ${MAX_REPAIR_BYTES} bytes`);
    }
    const { value: fd } = this.#tree.put(parent, name, (at, bytes) =>
      openAt(at, bytes, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, entry.mode & 0o777),
    );
    this.#file = { fd, entry, path: `${parent.path}/${name}` };
  }

  #node(parent: Directory, name: string, entry: Made & { kind: 'symlink' | 'fifo' }): void {
    this.#tree.put(parent, name, (at, bytes) => {
      if (entry.kind === 'symlink') symlinkAt(bytesOf(entry.target), at, bytes);
      else mknodAt(at, bytes, S.IFIFO | (entry.mode & 0o777));
      this.#metadata.node(at, bytes, entry);
    });
  }

  /** Makes another name of a file that was repaired. For any other file the published tree shows a good copy. */
  #link(parentPath: string, name: string, target: string): void {
    const [fromPath, from] = splitName(target);
    const path = pathOf(parentPath, name);
    // GNU tar writes a link to itself for a name that it is given twice.
    if (target === path) return;
    if (target.startsWith(`${path}/`)) {
      throw new Unrepairable('a hard link takes the place of the directory around its target');
    }
    if (!this.#has(fromPath, from)) {
      this.#requireSame([parentPath, name], [fromPath, from]);
      this.#targets.add(target);
      if (this.#has(parentPath, name)) this.#tree.remove(this.#tree.directory(parentPath), name);
      return;
    }
    this.#requireBeforeLinks(path);
    const source = this.#tree.directory(fromPath);
    source.hold(() => {
      const parent = this.#tree.directory(parentPath);
      const { fd } = source;
      this.#tree.put(parent, name, (at, bytes) => linkAt(fd, Buffer.from(from, 'latin1'), at, bytes));
    });
  }

  /** @throws Unrepairable for a repaired name whose links came first: they show the published file */
  #requireBeforeLinks(path: string): void {
    if (this.#targets.has(path)) throw new Unrepairable('a hard link of its tar comes before its target');
  }

  /**
   * @throws Unrepairable where a later entry replaced the target of a link that shows: the lost attributes of the
   * target are not known
   */
  #requireSame(link: readonly [string, string], target: readonly [string, string]): void {
    const [shown, of] = [this.#look(...link), this.#look(...target)];
    if (shown === undefined || (of !== undefined && (of.mode & S.IFMT) === (shown.mode & S.IFMT))) return;
    throw new Unrepairable('a later entry of its tar replaces the target of a hard link');
  }

  /** Gives a directory above a repaired name the attributes of the published one, until its own entry comes. */
  #likePublished(directory: Directory): void {
    const [parent, name] = splitName(directory.path);
    const stat = name === '' ? this.#damaged.root() : this.#look(parent, name);
    if (stat === undefined) return;
    const { uid, gid } = this.#request.shown(stat);
    directory.setOwner(uid, gid);
    directory.setMode(stat.mode & 0o7777);
    directory.setTime(stat.mtime);
  }
}

function pathOf(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}
