/**
 * A layer's image in the form of overlayfs, as `LayerTree` makes it as a tree: whiteouts are character devices 0:0, opaque
 * directories have an attribute, a marker hides only names of the trees below. Names lead through the layer's own links and
 * never out of it. The tree of names is in memory, so nothing here can reach the machine's own files.
 */

import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import type { Timespec } from '../../sys/kernel/files.ts';
import { splitName } from '../tar/entry-name.ts';
import type { Budget } from '../tree/budget.ts';
import { MarkedDirectories } from '../tree/marked-directories.ts';
import type { EntryAttributes } from './attributes.ts';
import { type Attributes, FILE_TYPE, type FileType } from './format.ts';
import { type ImageWriter, MAX_ROOT_XATTRS } from './image-writer.ts';
import type { Place } from './inode-groups.ts';
import { LayerNames } from './layer-names.ts';
import { type DirectoryNumber, type EntryNumber, ROOT } from './numbers.ts';

/** overlayfs itself makes whiteouts of root and without permissions. */
const WHITEOUT: Attributes = {
  mode: 0,
  uid: 0,
  gid: 0,
  mtime: { sec: 0, nsec: 0 },
  xattrs: new Uint8Array(0),
};

/** The way that `directory` goes where a directory is missing. */
type Missing = 'make' | 'make-where-free' | 'leave';

export class LayerImage {
  readonly marked = new MarkedDirectories();
  readonly names: LayerNames;
  readonly #image: ImageWriter;
  readonly #attributes: EntryAttributes;
  readonly #budget: Budget;
  /** The inode that all whiteouts are names of. */
  #whiteout: Place | undefined;
  /** Modification time of the current entry; directories that it implies get it too. */
  mtime: Timespec = { sec: 0, nsec: 0 };

  constructor(image: ImageWriter, attributes: EntryAttributes, budget: Budget) {
    this.#image = image;
    this.#attributes = attributes;
    this.#budget = budget;
    this.names = new LayerNames(image.tree, () => budget.look());
    this.marked.addImplied('', this.mtime);
    this.set(ROOT, attributes.implied('', this.mtime));
  }

  set(directory: DirectoryNumber, attributes: Attributes): void {
    if (directory === ROOT && attributes.xattrs.length > MAX_ROOT_XATTRS) throw tooMuchAtRoot();
    this.#image.tree.directories.set(directory, attributes);
  }

  /** The directory at a clean path. Missing directories are made, and any other file on the way is replaced by one. */
  directory(path: string): DirectoryNumber {
    const found = this.#walk(path, 'make');
    if (found === undefined) throw new Error('a directory was not made');
    return found;
  }

  /** Undefined below a file of this layer, where a marker can hide nothing. */
  directoryForMarker(path: string): DirectoryNumber | undefined {
    return this.#walk(path, 'make-where-free');
  }

  find(path: string): DirectoryNumber | undefined {
    return this.#walk(path, 'leave');
  }

  /** Gives a name to an inode, in place of whatever has the name. */
  put(parent: DirectoryNumber, name: string, type: FileType, place: Place, target?: string): void {
    this.clear(parent, name);
    this.names.put(parent, name, type, place, target);
  }

  /** The directory of an entry: a new one, or the existing one. */
  makeDirectory(parent: DirectoryNumber, name: string): DirectoryNumber {
    const old = this.names.child(parent, name);
    if (old !== undefined) {
      this.marked.makeExplicit(this.names.path(old));
      return old;
    }
    return this.#make(parent, name);
  }

  opaque(directory: DirectoryNumber): void {
    const path = this.names.path(directory);
    if (this.marked.addOpaque(path)) this.#budget.remember(path);
  }

  /** Hides `name` of the trees below. This layer's own file stays; its directory stays without the lower content. */
  whiteout(parent: DirectoryNumber, name: string): void {
    const there = this.#image.tree.find(parent, name);
    if (there !== undefined) {
      const directory = this.names.child(parent, name);
      if (directory === undefined || !this.marked.addHidden(this.names.path(directory))) return;
      if (!this.#isHollow(directory)) {
        this.opaque(directory);
        return;
      }
    }
    this.#whiteout ??= this.#image.node(WHITEOUT, FILE_TYPE.character);
    this.put(parent, name, FILE_TYPE.character, this.#whiteout);
    this.names.share(this.#whiteout);
    const path = this.names.path(parent);
    if (this.marked.addWhiteout(path)) this.#budget.remember(path);
  }

  /** Removes what a path names, with everything below it, as if the archive had never contained it. */
  remove(path: string): void {
    const [above, name] = splitName(path);
    const parent = this.find(above);
    if (parent !== undefined) this.clear(parent, name);
  }

  #make(parent: DirectoryNumber, name: string): DirectoryNumber {
    const wasWhiteout = this.clear(parent, name);
    const directory = this.names.addDirectory(parent, name);
    if (wasWhiteout) {
      // The directory must still hide the lower one.
      this.marked.addHidden(this.names.path(directory));
      this.opaque(directory);
    }
    return directory;
  }

  /** Removes a name. @returns true where it was a whiteout */
  clear(parent: DirectoryNumber, name: string): boolean {
    const old = this.#image.tree.find(parent, name);
    if (old === undefined) return false;
    const isWhiteout = this.#isWhiteout(old);
    if (isWhiteout) this.marked.removeWhiteout(this.names.path(parent));
    this.names.remove(old, (directory) => {
      this.#budget.checkpoint();
      this.marked.forget(this.names.path(directory));
    });
    return isWhiteout;
  }

  #isWhiteout(entry: EntryNumber): boolean {
    return this.#image.tree.type(entry) === FILE_TYPE.character;
  }

  #walk(path: string, missing: Missing): DirectoryNumber | undefined {
    return this.names.walk(path, {
      refuse: () => new PluginError('LAYER_LINK_LOOP', { entry: printable(path) }),
      missing: (at, name, isTaken) => {
        if (missing === 'leave' || (missing === 'make-where-free' && isTaken)) return undefined;
        return this.#imply(at, name);
      },
    });
  }

  #imply(parent: DirectoryNumber, name: string): DirectoryNumber {
    this.#budget.entry();
    const directory = this.#make(parent, name);
    const path = this.names.path(directory);
    this.#budget.remember(path);
    this.marked.addImplied(path, this.mtime);
    this.set(directory, this.#attributes.implied(path, this.mtime));
    return directory;
  }

  /** True for a directory that exists only because markers lie below it: without the directory they have no meaning. */
  #isHollow(directory: DirectoryNumber): boolean {
    const inside = [directory];
    for (let at = inside.pop(); at !== undefined; at = inside.pop()) {
      this.#budget.look();
      if (!this.marked.isImplied(this.names.path(at)) || this.names.files(at) > this.#whiteouts(at))
        return false;
      inside.push(...this.names.directoriesIn(at));
    }
    return true;
  }

  #whiteouts(directory: DirectoryNumber): number {
    return this.marked.whiteoutsIn(this.names.path(directory));
  }
}

function tooMuchAtRoot(): PluginError {
  const reason = `an EROFS image has at most ${MAX_ROOT_XATTRS} bytes for all attributes of its root`;
  return new PluginError('LAYER_BAD_XATTR', { entry: '/', xattr: '', reason });
}
