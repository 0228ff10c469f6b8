/** Makes hard links in an image, also to names that come later in the archive. */
import { PluginError } from '../../base/errors/error.ts';
import { splitName } from '../tar/entry-name.ts';
import { shown } from '../tar/header.ts';
import type { Budget } from '../tree/budget.ts';
import { FILE_TYPE } from './format.ts';
import type { LayerImage } from './layer-image.ts';
import type { NameTree } from './name-tree.ts';
import type { DirectoryNumber, EntryNumber } from './numbers.ts';

export class ImageLinks {
  readonly #layer: LayerImage;
  readonly #tree: NameTree;
  readonly #budget: Budget;
  /** Targets that did not exist yet, by the clean path of the link. */
  readonly #pending = new Map<string, string>();

  constructor(layer: LayerImage, tree: NameTree, budget: Budget) {
    this.#layer = layer;
    this.#tree = tree;
    this.#budget = budget;
  }

  /** A later entry made something else of a name: the last entry of a name counts. */
  cancel(parent: DirectoryNumber, name: string): void {
    if (this.#pending.size > 0) this.#pending.delete(this.#pathOf(parent, name));
  }

  /** Links a name to `target`, a clean path. If the target does not exist yet, the link is made later. */
  add(parent: DirectoryNumber, name: string, target: string): void {
    const path = this.#pathOf(parent, name);
    if (target === '') throw badLink(path, target);
    this.#pending.delete(path);
    if (this.#link(path, target)) return;
    this.#budget.remember(path);
    this.#budget.remember(target);
    this.#pending.set(path, target);
  }

  /**
   * Makes the pending links, each after its target.
   * @param isWhole nothing is below the layer
   * @throws LAYER_NEEDS_LOWER for a target that this layer does not have, or LAYER_BAD_HARDLINK where it is the whole image
   */
  finish(isWhole: boolean): void {
    /** In a ring of links, the search stops at a link that it meets again. */
    const begun = new Set<string>();
    for (const first of [...this.#pending.keys()]) {
      this.#budget.checkpoint();
      const waiting = this.#pending.has(first) ? [first] : [];
      for (let path = waiting.at(-1); path !== undefined; path = waiting.at(-1)) {
        begun.add(path);
        const target = this.#pending.get(path) ?? '';
        if (this.#pending.has(target) && !begun.has(target)) {
          waiting.push(target);
          continue;
        }
        waiting.pop();
        this.#pending.delete(path);
        if (this.#link(path, target)) continue;
        if (isWhole) throw badLink(path, target);
        throw new PluginError('LAYER_NEEDS_LOWER', { entry: shown(path), target: shown(target) });
      }
    }
  }

  /** Returns false when the target does not exist. */
  #link(path: string, target: string): boolean {
    const [parentPath, name] = splitName(path);
    const parent = this.#layer.directory(parentPath);
    const source = this.#source(path, target);
    if (source === undefined) return false;
    const old = this.#tree.find(parent, name);
    if (source === old) return true;
    if (old !== undefined) this.#layer.clear(parent, name);
    // Removing the old file at the link's path may have removed the target too.
    if (!this.#tree.isThere(source)) throw badLink(path, target);
    this.#layer.names.link(parent, name, source);
    return true;
  }

  #source(path: string, target: string): EntryNumber | undefined {
    const [parent, name] = splitName(target);
    const directory = this.#layer.find(parent);
    const entry = directory === undefined ? undefined : this.#tree.find(directory, name);
    if (entry === undefined) return undefined;
    const type = this.#tree.type(entry);
    if (type === FILE_TYPE.character) return undefined;
    if (type !== FILE_TYPE.directory) return entry;
    // A directory that is only implied by markers may be a file in a lower layer.
    if (this.#layer.marked.isImplied(this.#layer.names.path(this.#tree.directory(entry)))) return undefined;
    throw badLink(path, target);
  }

  #pathOf(parent: DirectoryNumber, name: string): string {
    const above = this.#layer.names.path(parent);
    return above === '' ? name : `${above}/${name}`;
  }
}

function badLink(path: string, target: string): PluginError {
  return new PluginError('LAYER_BAD_HARDLINK', { entry: shown(path), target: shown(target) });
}
