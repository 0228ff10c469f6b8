/**
 * Writes the entries of an archive as one EROFS image, in one pass: the contract of `TreeWriter` (lib/layer/tree), whose tree
 * the image shows when it is mounted. A layer that needs the trees below it, or that goes below a directory of the image's
 * own, is written as a tree.
 */
import { PluginError } from '../../base/errors/error.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import type { LayerEntry } from '../tar/entry.ts';
import { cleanName, type EntryMeaning, isAufsName, meaningOf } from '../tar/entry-name.ts';
import { bad, shown } from '../tar/header.ts';
import type { TarSink } from '../tar/reader.ts';
import type { Budget } from '../tree/budget.ts';
import type { TreeResult } from '../tree/tree-writer.ts';
import { EntryAttributes } from './attributes.ts';
import { FILE_TYPE } from './format.ts';
import { ImageLinks } from './image-links.ts';
import { ImageWriter, type WrittenImage } from './image-writer.ts';
import { endLayer } from './layer-ending.ts';
import { LayerImage } from './layer-image.ts';
import { type DirectoryNumber, ROOT } from './numbers.ts';

/** PATH_MAX without its NUL (linux/limits.h). */
const MAX_TARGET = 4095;

/** Facts about the layer as of a tree, and about the file. */
export type ImageResult = Omit<TreeResult, 'treeBytes'> & { readonly image: WrittenImage };

export class LayerWriter implements TarSink {
  readonly #image: ImageWriter;
  readonly #attributes: EntryAttributes;
  readonly #layer: LayerImage;
  readonly #links: ImageLinks;
  readonly #budget: Budget;
  /** Names of AUFS in the root, which are removed at the end. */
  readonly #aufs = new Set<string>();
  readonly #isWhole: boolean;
  #isInFile = false;
  #fileBytes = 0;
  #skippedDevices = 0;
  #explicitRoot = false;

  /**
   * @param file must not exist
   * @param isWhole the layer is all of an image: markers hide nothing, and are left out
   * @throws SysError
   */
  constructor(file: string, mappings: IdMappings, budget: Budget, isWhole = false) {
    this.#isWhole = isWhole;
    this.#budget = budget;
    this.#attributes = new EntryAttributes(mappings);
    // A layer lies in a store, where only root may read.
    this.#image = new ImageWriter(file, isWhole ? 0o644 : 0o600);
    this.#layer = new LayerImage(this.#image, this.#attributes, budget);
    this.#links = new ImageLinks(this.#layer, this.#image.tree, budget);
  }

  entry(entry: LayerEntry): void {
    this.#budget.entry();
    if (entry.xattrs.length > 0) this.#budget.attributes(entry.xattrs);
    if (entry.kind === 'file' && entry.sparse !== undefined) this.#budget.sparse(entry.size, entry.sparse);
    this.#layer.mtime = entry.mtime;
    const clean = cleanName(entry.name);
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
        this.#make(entry, this.#layer.directory(meaning.parent), meaning.name);
    }
  }

  content(bytes: Uint8Array): void {
    if (this.#isInFile) this.#image.content(bytes);
  }

  hole(bytes: number): void {
    if (this.#isInFile) this.#image.hole(bytes);
  }

  endOfContent(): void {
    if (this.#isInFile) this.#image.endOfFile();
    this.#isInFile = false;
  }

  /** Ends the archive and the image. @throws PluginError LAYER_NEEDS_LOWER, LAYER_BAD_HARDLINK, LAYER_BAD_XATTR */
  finish(): ImageResult {
    this.#links.finish(this.#isWhole);
    for (const name of this.#aufs) this.#layer.remove(name);
    endLayer(this.#layer, this.#image, this.#isWhole);
    const image = this.#image.finish();
    this.abandon();
    const { marked } = this.#layer;
    return {
      fileBytes: this.#fileBytes,
      explicitRoot: this.#explicitRoot,
      impliedDirs: marked.impliedDirs(),
      whiteoutDirs: marked.whiteoutDirs(),
      opaqueDirs: marked.opaqueDirs(),
      skippedDevices: this.#skippedDevices,
      droppedXattrs: this.#attributes.droppedXattrs,
      dependsOnLower: false,
      lostOwners: undefined,
      closedDirs: undefined,
      image,
    };
  }

  /** Closes the image; after a failure the caller removes it. */
  abandon(): void {
    this.#image[Symbol.dispose]();
  }

  #mark(meaning: Extract<EntryMeaning, { kind: 'opaque' | 'whiteout' }>): void {
    const parent = this.#layer.directoryForMarker(meaning.parent);
    if (parent === undefined) return;
    if (meaning.kind === 'opaque') this.#layer.opaque(parent);
    else this.#layer.whiteout(parent, meaning.name);
  }

  #root(entry: LayerEntry): void {
    if (entry.kind !== 'directory')
      throw new PluginError('LAYER_ROOT_REPLACED', { entry: shown(entry.name) });
    this.#layer.marked.makeExplicit('');
    this.#layer.set(ROOT, this.#attributes.of(entry));
    this.#explicitRoot = true;
  }

  #make(entry: LayerEntry, parent: DirectoryNumber, name: string): void {
    if (entry.kind === 'device') {
      this.#skippedDevices += 1;
      return;
    }
    if (entry.kind === 'hardlink') {
      this.#links.add(parent, name, cleanName(entry.target));
      return;
    }
    this.#links.cancel(parent, name);
    const attributes = this.#attributes.of(entry);
    switch (entry.kind) {
      case 'file':
        this.#layer.put(parent, name, FILE_TYPE.file, this.#image.file(attributes, entry.size));
        this.#fileBytes += entry.sparse?.stored ?? entry.size;
        this.#isInFile = true;
        return;
      case 'directory':
        this.#layer.set(this.#layer.makeDirectory(parent, name), attributes);
        return;
      case 'symlink': {
        if (entry.target === '') bad(entry.name, 'a symbolic link to nothing');
        if (entry.target.length > MAX_TARGET)
          throw new PluginError('LAYER_NAME_TOO_LONG', { entry: shown(entry.name), limit: MAX_TARGET });
        const place = this.#image.symlink(attributes, Buffer.from(entry.target, 'latin1'));
        this.#layer.put(parent, name, FILE_TYPE.symlink, place, entry.target);
        return;
      }
      case 'fifo':
        this.#layer.put(parent, name, FILE_TYPE.fifo, this.#image.node(attributes, FILE_TYPE.fifo));
    }
  }
}
