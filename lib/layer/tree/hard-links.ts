/** Makes hard links, also to names that come later in the archive, and to files of lower trees if those are given. */
import { PluginError } from '../../base/errors/error.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { linkAt } from '../../sys/kernel/files.ts';
import { isDirectory, isWhiteout, statIfThere } from '../../sys/kernel/stat.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import { splitName } from '../tar/entry-name.ts';
import { shown } from '../tar/header.ts';
import type { Budget } from './budget.ts';
import { copyUp } from './copy-up.ts';
import { type LayerTree, pathOf } from './layer-tree.ts';
import { findBelow } from './link-targets.ts';
import type { LowerName, LowerTrees } from './lower-trees.ts';

interface Pending {
  readonly path: string;
  readonly target: string;
}

export class HardLinks {
  readonly #tree: LayerTree;
  readonly #budget: Budget;
  readonly #manifest: TreeManifestWriter;
  /** Links whose target did not exist yet, by their clean path. */
  readonly #pending = new Map<string, Pending>();
  /**
   * Files that were copied from lower layers: by tree and inode, the path of the first copy in this layer, with links
   * followed.
   */
  readonly #copies = new Map<string, string>();

  constructor(tree: LayerTree, manifest: TreeManifestWriter, budget: Budget) {
    this.#tree = tree;
    this.#budget = budget;
    this.#manifest = manifest;
  }

  /** Cancels the pending link at `path`, where a later entry made something else: the last entry of a name counts. */
  cancel(path: string): void {
    if (this.#pending.size > 0) this.#pending.delete(path);
  }

  /** Links `path` to `target`, both clean. If the target does not exist yet, the link is made later. */
  add(path: string, target: string): void {
    if (target === '') throw badLink(path, target);
    this.#pending.delete(path);
    if (this.#link(path, target)) return;
    this.#budget.remember(path);
    this.#budget.remember(target);
    this.#pending.set(path, { path, target });
  }

  /**
   * Makes the pending links, each after its target.
   * @throws PluginError LAYER_NEEDS_LOWER without `lowers`, LAYER_BAD_HARDLINK when no tree has the target
   */
  finish(lowers: LowerTrees | undefined): void {
    const waiting: Pending[] = [];
    /**
     * Paths of the links that were put on `waiting`. In a ring of links, the search stops at a link that it meets
     * again.
     */
    const begun = new Set<string>();
    for (const first of this.#pending.values()) {
      this.#budget.checkpoint();
      waiting.push(first);
      for (let link = waiting.at(-1); link !== undefined; link = waiting.at(-1)) {
        begun.add(link.path);
        const before = this.#pending.get(link.target);
        if (before !== undefined && !begun.has(before.path)) {
          waiting.push(before);
          continue;
        }
        waiting.pop();
        this.#pending.delete(link.path);
        if (!this.#link(link.path, link.target)) this.#fromBelow(link, lowers);
      }
    }
  }

  /** Returns false when the target does not exist. */
  #link(path: string, target: string): boolean {
    const [parentPath, name] = splitName(path);
    const parent = this.#tree.directory(parentPath);
    return parent.hold(() => {
      const source = this.#source(path, target);
      if (source === undefined) return false;
      const from = pathOf(source.directory, source.name);
      const to = pathOf(parent, name);
      if (from === to) return true;
      const bytes = Buffer.from(source.name, 'latin1');
      this.#tree.put(parent, name, (fd, newName) => {
        // Removing the old file at the link's path may have removed the target too.
        const again = this.#source(path, target);
        if (again === undefined) throw badLink(path, target);
        linkAt(again.directory.fd, bytes, fd, newName);
      });
      this.#manifest.hardlink(to, from);
      return true;
    });
  }

  #source(path: string, target: string): { directory: Directory; name: string } | undefined {
    const [parent, name] = splitName(target);
    const directory = this.#tree.find(parent);
    const stat = directory === undefined ? undefined : statIfThere(directory.fd, Buffer.from(name, 'latin1'));
    if (directory === undefined || stat === undefined || isWhiteout(stat)) return undefined;
    if (!isDirectory(stat)) return { directory, name };
    // A directory that is only implied by markers may be a file in a lower layer.
    if (this.#tree.marked.isImplied(pathOf(directory, name))) return undefined;
    throw badLink(path, target);
  }

  #fromBelow(link: Pending, lowers: LowerTrees | undefined): void {
    const subject = { entry: shown(link.path), target: shown(link.target) };
    if (lowers === undefined) throw new PluginError('LAYER_NEEDS_LOWER', subject);
    const below = findBelow(this.#tree, lowers, this.#budget, link.target);
    if (below === undefined) throw badLink(link.path, link.target);
    this.#tree.dependsOnLower = true;
    const { found, shows } = below;
    // Where this layer removes the target's own name, only the link remains of the file.
    if (shows) this.#copy(found, found.path);
    if (!shows || link.path !== found.path) this.#copy(found, link.path);
  }

  /** Hard links to one lower file stay hard links to one file in this layer. */
  #copy(found: LowerName, path: string): void {
    const file = `${found.rootFd}:${found.stat.ino}`;
    const [parent, name] = splitName(path);
    const own = pathOf(this.#tree.directory(parent), name);
    const first = this.#copies.get(file);
    // A first copy below the link's own path does not count: it is removed with the directory that the link replaces.
    if (first !== undefined && !first.startsWith(`${own}/`) && this.#link(path, first)) return;
    copyUp(found, this.#tree, this.#tree.directory(parent), name, this.#manifest, this.#budget);
    this.#copies.set(file, own);
  }
}

function badLink(path: string, target: string): PluginError {
  return new PluginError('LAYER_BAD_HARDLINK', { entry: shown(path), target: shown(target) });
}
