/**
 * What layers put on top of each other are, said plainly: a tree in memory, layer after layer, entry after entry, as
 * the image specification has it (layer.md, "Applying Changesets") and umoci does it. Markers speak of what was there
 * before their layer, in any order; what the layer brings itself stays. A directory that is only implied keeps what
 * an existing one is, or is a new one of root's.
 *
 * A layer that contradicts itself means what its order makes of it, and nobody writes one; it is not modelled
 * (`Ambiguous`): names that go through a link of a lower layer beside an entry that takes that link away; a file
 * that becomes a directory again within one layer.
 */
import type { Attributes, Entry, LayerStack } from './entries.ts';
import { splitName } from './entries.ts';

/** All that has no children. Two names of one object are hard links. */
export interface Leaf {
  readonly kind: 'file' | 'symlink' | 'fifo';
  readonly attributes: Attributes;
  /** Content or target. */
  readonly data: string;
}

export interface Directory {
  readonly kind: 'directory';
  /** Undefined: nobody said; 0755, root's, at any time. */
  attributes: Attributes | undefined;
  readonly children: Map<string, Slot>;
}

/** A name. */
export interface Slot {
  node: Leaf | Directory;
  /** The last layer that has it. */
  layer: number;
  /** That layer has an entry for the directory. */
  explicit: boolean;
  /** That layer has it by a name that goes through a link. */
  throughLink: boolean;
}

/** The layer's meaning depends on the order of its own entries. */
export class Ambiguous extends Error {}
/** The layer is wrong. */
export class Refused extends Error {}

const MAX_LINKS = 40;

interface Step {
  readonly name: string;
  readonly slot: Slot;
}

export class MergedTree {
  root: Slot;
  /** What was there before the layer at work. */
  #below: Slot;
  #layer = 0;
  /** Links of lower layers that names of this one went through. */
  #walked = new Set<Leaf>();
  /** Hard links to what this layer does not have, or not yet, by the path of the link. */
  #pending = new Map<string, { path: string; target: string }>();

  constructor(root: Slot = { node: newDirectory(), layer: 0, explicit: false, throughLink: false }) {
    this.root = root;
    this.#below = root;
  }

  clone(): MergedTree {
    const copy = new MergedTree(cloneSlot(this.root));
    copy.#below = this.#below;
    copy.#layer = this.#layer;
    copy.#walked = new Set(this.#walked);
    copy.#pending = new Map(this.#pending);
    return copy;
  }

  /** The number of the layer at work; slots with it are the layer's own. */
  get layer(): number {
    return this.#layer;
  }

  /** What was there before the layer at work. */
  get below(): Slot {
    return this.#below;
  }

  beginLayer(): void {
    this.#layer += 1;
    this.#below = cloneSlot(this.root);
    this.#walked = new Set();
    this.#pending = new Map();
  }

  apply(entry: Entry): void {
    const [parentName, name] = splitName(entry.name);
    switch (entry.kind) {
      case 'opaque':
        this.#opaque(entry.name);
        return;
      case 'whiteout': {
        const parent = this.walk(entry.name === '' ? '' : parentName, 'leave');
        if (parent !== undefined) this.#whiteout(directoryOf(parent), name);
        return;
      }
      case 'directory':
        if (entry.name === '') this.#claim(this.root, entry.attributes);
        else this.#directory(this.#make(parentName), entry);
        return;
      case 'hardlink':
        this.#hardlink(entry.name, entry.target);
        return;
      case 'device':
        this.#device(parentName);
        return;
      default:
        this.#put(this.#make(parentName), name, leafOf(entry), entry.name);
    }
  }

  /** Skipped, as if it had never been in the archive; whether it makes the directories on its way is not told. */
  #device(parentName: string): void {
    const parent = this.walk(parentName, 'leave')?.at(-1)?.slot;
    if (parent?.layer !== this.#layer || !parent.explicit) throw new Ambiguous(`a device in ${parentName}`);
  }

  /** Hard links that still wait get what is below the layer. */
  endLayer(): void {
    const copies = new Map<Leaf, Leaf>();
    const begun = new Set<string>();
    const resolve = (link: { path: string; target: string }): void => {
      begun.add(link.path);
      const before = this.#pending.get(link.target);
      if (before !== undefined && !begun.has(before.path)) resolve(before);
      if (!this.#pending.delete(link.path)) return;
      const [parentName, name] = splitName(link.path);
      const now = pathOf(this.#make(parentName), name);
      // A later entry made a link of the directory, and another hard link came through it.
      if (this.#pending.has(now)) throw new Ambiguous(`${now} by two names that wait`);
      if (!this.#linkOwn(link.path, link.target)) this.#linkBelow(link, copies);
    };
    for (const link of [...this.#pending.values()]) resolve(link);
  }

  #opaque(name: string): void {
    const chain = this.walk(name, 'leave');
    if (chain === undefined) return;
    const { children } = directoryOf(chain);
    for (const child of children.values()) this.#guard(child);
    this.#strip(children);
  }

  #whiteout({ children }: Directory, name: string): void {
    const slot = children.get(name);
    if (slot === undefined) return;
    this.#guard(slot);
    this.#hide(children, name, slot);
  }

  /** Takes away what lower layers brought. */
  #strip(children: Map<string, Slot>): void {
    for (const [name, slot] of [...children]) this.#hide(children, name, slot);
  }

  #hide(children: Map<string, Slot>, name: string, slot: Slot): void {
    if (slot.layer !== this.#layer) children.delete(name);
    else if (slot.node.kind === 'directory') {
      this.#strip(slot.node.children);
      if (!slot.explicit) slot.node.attributes = undefined;
    }
  }

  #directory(parent: Step[], { name: entryName, attributes }: Entry): void {
    const [, name] = splitName(entryName);
    const path = pathOf(parent, name);
    this.#pending.delete(path);
    const { children } = directoryOf(parent);
    const slot = children.get(name);
    if (slot?.node.kind === 'directory') {
      this.#claim(slot, attributes);
      return;
    }
    if (slot !== undefined) this.#makesRoom(slot);
    children.set(name, {
      node: newDirectory(attributes),
      layer: this.#layer,
      explicit: true,
      throughLink: path !== entryName,
    });
  }

  #claim(slot: Slot, attributes: Attributes): void {
    slot.layer = this.#layer;
    slot.explicit = true;
    (slot.node as Directory).attributes = attributes;
  }

  #put(parent: Step[], name: string, node: Leaf, entryName: string): void {
    const path = pathOf(parent, name);
    this.#pending.delete(path);
    const throughLink = path !== entryName;
    const { children } = directoryOf(parent);
    const slot = children.get(name);
    if (slot !== undefined) this.#guard(slot);
    for (const [, own] of slot === undefined ? [] : walkTree(slot)) {
      if (own.layer === this.#layer && own.throughLink !== throughLink)
        throw new Ambiguous(`${path} by two names`);
    }
    children.set(name, { node, layer: this.#layer, explicit: true, throughLink });
  }

  #hardlink(name: string, target: string): void {
    const [parentName, base] = splitName(name);
    const path = pathOf(this.#make(parentName), base);
    this.#pending.delete(path);
    if (!this.#linkOwn(path, target)) this.#pending.set(path, { path, target });
  }

  /** False when this layer does not have the target. */
  #linkOwn(path: string, target: string): boolean {
    const [parentName, name] = splitName(path);
    const parent = this.#make(parentName);
    const slot = this.find(target);
    if (slot?.layer !== this.#layer) return false;
    if (slot.node.kind === 'directory') throw new Refused(`${path} links to the directory ${target}`);
    if (directoryOf(parent).children.get(name) === slot) return true;
    this.#keepsTarget(parent, name, slot);
    this.#put(parent, name, slot.node, path);
    return true;
  }

  /**
   * A file of a lower layer and its link are one file from here on; other names that the file had in lower layers
   * keep the old one, as on every overlay (Documentation/filesystems/overlayfs.rst, "Non-standard behavior").
   */
  #linkBelow({ path, target }: { path: string; target: string }, copies: Map<Leaf, Leaf>): void {
    const there = this.find(target);
    const found = there === undefined ? lookIn(this.#below, target)?.node : there.node;
    if (found === undefined || found.kind === 'directory') {
      throw new Refused(`${path} links to ${target}, which is no file below`);
    }
    const copy = copies.get(found) ?? { ...found };
    copies.set(found, copy);
    const [targetParent, targetName] = splitName(target);
    if (there !== undefined) this.#put(this.#make(targetParent), targetName, copy, target);
    const [parentName, name] = splitName(path);
    const parent = this.#make(parentName);
    this.#keepsTarget(parent, name, this.find(target));
    this.#put(parent, name, copy, path);
  }

  /** A link may not take the place of the directory that its target lies in. */
  #keepsTarget(parent: Step[], name: string, target: Slot | undefined): void {
    const replaced = directoryOf(parent).children.get(name);
    for (const [, slot] of replaced?.node.kind === 'directory' ? walkTree(replaced) : [])
      if (slot === target) throw new Refused(`${name} takes the place of its target`);
  }

  /** The name, its last component not followed. */
  find(path: string): Slot | undefined {
    const [parentName, name] = splitName(path);
    const parent = this.walk(parentName, 'leave');
    return parent && directoryOf(parent).children.get(name);
  }

  #make(path: string): Step[] {
    const chain = this.walk(path, 'make');
    if (chain === undefined) throw new Error('a directory was not made');
    return chain;
  }

  /** Down to a directory, following links inside the root. */
  walk(path: string, missing: 'make' | 'leave'): Step[] | undefined {
    let chain: Step[] = [{ name: '', slot: this.root }];
    const rest = components(path);
    let links = 0;
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (name === '.') continue;
      if (name === '..') {
        if (chain.length > 1) chain.pop();
        continue;
      }
      const { children } = directoryOf(chain);
      const slot = children.get(name);
      if (slot?.node.kind === 'symlink') {
        if (slot.layer !== this.#layer) this.#walked.add(slot.node);
        links += 1;
        if (links > MAX_LINKS) throw new Refused(`${path} has too many links`);
        if (slot.node.data.startsWith('/')) chain = chain.slice(0, 1);
        rest.unshift(...components(slot.node.data));
        continue;
      }
      if (slot?.node.kind === 'directory') {
        if (missing === 'make') this.#touch(slot, links > 0);
        chain.push({ name, slot });
        continue;
      }
      if (missing === 'leave') return undefined;
      if (slot !== undefined) this.#makesRoom(slot);
      const made: Slot = {
        node: newDirectory(),
        layer: this.#layer,
        explicit: false,
        throughLink: links > 0,
      };
      children.set(name, made);
      chain.push({ name, slot: made });
    }
    return chain;
  }

  /** The layer has a name below it. */
  #touch(slot: Slot, throughLink: boolean): void {
    if (slot.layer === this.#layer) return;
    slot.layer = this.#layer;
    slot.explicit = false;
    slot.throughLink = throughLink;
  }

  /** A directory takes the place of something else. */
  #makesRoom(slot: Slot): void {
    if (slot.layer === this.#layer) throw new Ambiguous('a directory in the place of what the layer made');
    this.#guard(slot);
  }

  /** Something may go away if no name of the layer went through it. */
  #guard(slot: Slot): void {
    const { node } = slot;
    if (node.kind === 'directory') for (const child of node.children.values()) this.#guard(child);
    else if (slot.layer !== this.#layer && this.#walked.has(node)) throw new Ambiguous(node.data);
  }
}

/** The tree of a stack. @throws Ambiguous, Refused */
export function mergeStack(stack: LayerStack): MergedTree {
  const tree = new MergedTree();
  for (const { entries } of stack) {
    tree.beginLayer();
    for (const entry of entries) tree.apply(entry);
    tree.endLayer();
  }
  return tree;
}

/** What is at a path of a tree, links on the way followed, the last one not; behind a loop of links there is nothing. */
export function lookIn(root: Slot, path: string): Slot | undefined {
  if (path === '') return root;
  try {
    return new MergedTree(root).find(path);
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** What a path leads to in the end. */
export function followIn(root: Slot, path: string): Slot | undefined {
  if (path === '') return root;
  try {
    const tree = new MergedTree(root);
    const there = tree.find(path);
    return there?.node.kind === 'symlink' ? tree.walk(path, 'leave')?.at(-1)?.slot : there;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** Every name below a slot, the root itself as `''`. */
export function* walkTree(slot: Slot, path = ''): Generator<[path: string, slot: Slot]> {
  yield [path, slot];
  if (slot.node.kind !== 'directory') return;
  for (const [name, child] of slot.node.children)
    yield* walkTree(child, path === '' ? name : `${path}/${name}`);
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function directoryOf(chain: readonly Step[]): Directory {
  const node = chain.at(-1)?.slot.node;
  if (node?.kind !== 'directory') throw new Error('not a directory');
  return node;
}

function pathOf(parent: readonly Step[], name: string): string {
  return [...parent.slice(1).map((step) => step.name), name].join('/');
}

function newDirectory(attributes?: Attributes): Directory {
  return { kind: 'directory', attributes, children: new Map() };
}

function leafOf(entry: Extract<Entry, { kind: 'file' | 'symlink' | 'fifo' }>): Leaf {
  const data = entry.kind === 'file' ? entry.content : entry.kind === 'symlink' ? entry.target : '';
  return { kind: entry.kind, attributes: entry.attributes, data };
}

/** Leaves never change, so a copy may share them; that is also what keeps hard links together. */
function cloneSlot(slot: Slot): Slot {
  const { node } = slot;
  if (node.kind !== 'directory') return { ...slot };
  const children = new Map([...node.children].map(([name, child]) => [name, cloneSlot(child)]));
  return { ...slot, node: { kind: 'directory', attributes: node.attributes, children } };
}
