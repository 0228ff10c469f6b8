/**
 * Random stacks of layers. Each entry is tried on the model first, so that a layer is one that a program could have
 * made: no contradictions in itself, no links to nothing. What is peculiar is counted: a run that made none of it
 * would test nothing.
 */
import type { Attributes, Entry, Layer, LayerStack } from './entries.ts';
import { splitName } from './entries.ts';
import { Ambiguous, followIn, lookIn, MergedTree, Refused, type Slot, walkTree } from './model.ts';
import { Random } from './random.ts';

export const COUNTED = [
  'layers',
  'entries',
  'ghostWhiteouts',
  'whiteoutsUnderNothing',
  'whiteoutsUnderFiles',
  'whiteoutsThroughLinks',
  'whitedOutAndMadeAgain',
  'opaqueDirectories',
  'opaqueRoots',
  'impliedParents',
  'repeatedLayers',
  'typeChanges',
  'throughLowerLinks',
  'hardLinks',
  'forwardLinks',
  'linksIntoLower',
  'devices',
] as const;
export type Counts = Record<(typeof COUNTED)[number], number>;

export interface Generated {
  readonly stack: LayerStack;
  readonly counts: Counts;
}

/**
 * `any`: what the image specification fixes, or layers that any program unpacks alike: no devices, which others make;
 * no links to what comes later, or is replaced later; nothing below a file; no attributes that the kernel refuses.
 */
export type Reader = 'ours' | 'any';

const MAX_LAYERS = 8;
const MAX_ENTRIES = 14;
const MAX_TRIES = 60;
/** One that is not UTF-8, one that looks like a marker and is none. */
const NAMES = ['a', 'b', 'c', 'lib', 'usr', 'd\xff', 'e.wh.x'];
const TARGETS = ['a', 'usr/lib', 'b/c', '../usr', '/usr', '/lib/a', '../../b', 'nowhere', '.', 'usr'];
const MODES = [0o644, 0o755, 0o600, 0o4755, 0o2711, 0o444];
const DIRECTORY_MODES = [0o755, 0o700, 0o1777, 0o2775, 0o555, 0o711];
const IDS = [0, 0, 7, 1000, 65_534];
const FIRST_SECOND = 1_000_000_000;

export function noCounts(): Counts {
  return Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counts;
}

/** Case `number` of a seed. */
export function randomStack(seed: number, number: number, reader: Reader): Generated {
  return new StackMaker(new Random(seed, number), reader).make();
}

class StackMaker {
  readonly #random: Random;
  readonly #reader: Reader;
  readonly #counts = noCounts();
  readonly #layers: Layer[] = [];
  #tree = new MergedTree();
  #second = 0;

  constructor(random: Random, reader: Reader) {
    this.#random = random;
    this.#reader = reader;
  }

  make(): Generated {
    const size = 1 + this.#random.below(MAX_LAYERS);
    while (this.#layers.length < size) {
      if (this.#layers.length > 0 && this.#random.chance(0.15)) this.#repeat();
      else this.#add(this.#newLayer());
    }
    this.#counts.layers = this.#layers.length;
    this.#counts.entries = this.#layers.reduce((sum, { entries }) => sum + entries.length, 0);
    return { stack: this.#layers, counts: this.#counts };
  }

  #repeat(): void {
    const again = this.#random.pick(this.#layers);
    const tree = replay(this.#tree, again.entries);
    if (tree === undefined) return;
    this.#tree = tree;
    this.#layers.push(again);
    this.#counts.repeatedLayers += 1;
  }

  #add(entries: readonly Entry[]): void {
    const random = this.#random;
    const mixed = this.#reader === 'ours' && random.chance(0.4) ? random.shuffled(entries) : entries;
    for (const order of [mixed, entries, entries.filter(({ kind }) => kind !== 'hardlink')]) {
      const tree = replay(this.#tree, order);
      if (tree === undefined) continue;
      this.#count(order, tree);
      this.#tree = tree;
      this.#layers.push({ entries: order, packing: random.chance(0.5) ? 'gzip' : 'plain' });
      return;
    }
  }

  #newLayer(): Entry[] {
    const tree = this.#tree.clone();
    tree.beginLayer();
    const entries: Entry[] = [];
    const count = 1 + this.#random.below(MAX_ENTRIES);
    let current = tree;
    for (let tries = 0; tries < MAX_TRIES && entries.length < count; tries += 1) {
      const candidate = this.#entry(current);
      const next = current.clone();
      if (candidate === undefined || !accepts(() => next.apply(candidate))) continue;
      if (this.#reader === 'any' && !isPlain(candidate, current, entries)) continue;
      current = next;
      entries.push(candidate);
    }
    return entries;
  }

  #entry(tree: MergedTree): Entry | undefined {
    const random = this.#random;
    const dice = random.fraction();
    if (dice < 0.13) return this.#whiteout(tree);
    if (dice < 0.2)
      return { kind: 'opaque', name: this.#directory(tree), attributes: this.#attributes(MODES) };
    if (dice < 0.23) return { kind: 'directory', name: '', attributes: this.#attributes(DIRECTORY_MODES) };
    if (dice < 0.36) return this.#hardlink(tree);
    const name = join(this.#directory(tree), random.pick(NAMES));
    if (dice < 0.56) return { kind: 'directory', name, attributes: this.#attributes(DIRECTORY_MODES) };
    if (dice < 0.66) {
      return { kind: 'symlink', name, target: random.pick(TARGETS), attributes: this.#attributes([0o777]) };
    }
    if (dice < 0.68) return { kind: 'fifo', name, attributes: this.#attributes(MODES) };
    if (dice < 0.69 && this.#reader === 'ours') return this.#device(tree);
    const attributes = this.#attributes(MODES);
    return {
      kind: 'file',
      name,
      content: `${name} ${attributes.mtime}`.slice(0, random.below(40)),
      attributes,
    };
  }

  #whiteout(tree: MergedTree): Entry {
    const paths = [...walkTree(tree.below)].flatMap(([path]) => (path === '' ? [] : [path]));
    const known = paths.length > 0 && this.#random.chance(0.7);
    const name = known ? this.#random.pick(paths) : join(this.#directory(tree), this.#random.pick(NAMES));
    return { kind: 'whiteout', name, attributes: this.#attributes(MODES) };
  }

  /** In a directory that the layer has an entry for: whether a skipped device makes one is not told here. */
  #device(tree: MergedTree): Entry | undefined {
    const own = [...walkTree(tree.root)].filter(
      ([, { node, layer, explicit }]) => node.kind === 'directory' && layer === tree.layer && explicit,
    );
    if (own.length === 0) return undefined;
    const name = join(this.#random.pick(own)[0], this.#random.pick(NAMES));
    return { kind: 'device', name, attributes: this.#attributes(MODES) };
  }

  #hardlink(tree: MergedTree): Entry | undefined {
    const random = this.#random;
    const leaves = [...walkTree(tree.root)].filter(([, { node }]) => node.kind !== 'directory');
    const own = leaves.filter(([, slot]) => slot.layer === tree.layer);
    const lower = [...walkTree(tree.below)].filter(([, { node }]) => node.kind !== 'directory');
    const from = random.chance(0.6) ? own : lower;
    if (from.length === 0) return undefined;
    const name = join(this.#directory(tree), random.pick(NAMES));
    const [target] = random.pick(from);
    if (target === name) return undefined;
    return { kind: 'hardlink', name, target, attributes: this.#attributes(MODES) };
  }

  /** A directory to put something in: one that is there, one behind a link, one below a file, one that is nowhere. */
  #directory(tree: MergedTree): string {
    const random = this.#random;
    const names = [...walkTree(tree.root)];
    const those = (kinds: readonly string[]) =>
      names.flatMap(([path, { node }]) => (kinds.includes(node.kind) ? [path] : []));
    const dice = random.fraction();
    if (dice < 0.55) return random.pick(those(['directory']));
    if (dice < 0.7) {
      const links = those(['symlink']);
      if (links.length > 0) return random.pick(links);
    }
    if (dice < 0.75) {
      const files = those(['file', 'fifo']);
      if (files.length > 0) return random.pick(files);
    }
    const base = random.chance(0.5) ? random.pick(those(['directory'])) : '';
    const depth = 1 + random.below(2);
    return [base, ...Array.from({ length: depth }, () => random.pick(NAMES))].filter(Boolean).join('/');
  }

  #attributes(modes: readonly number[]): Attributes {
    const random = this.#random;
    this.#second += 1 + random.below(1000);
    const nanoseconds = random.chance(0.3) ? BigInt(random.below(1_000_000_000)) : 0n;
    return {
      mode: random.pick(modes),
      uid: random.pick(IDS),
      gid: random.pick(IDS),
      mtime: BigInt(FIRST_SECOND + this.#second) * 1_000_000_000n + nanoseconds,
      ...(random.chance(0.15) ? { mark: `m${this.#second}` } : {}),
    };
  }

  #count(entries: readonly Entry[], after: MergedTree): void {
    const counts = this.#counts;
    const below = this.#tree.root;
    const own = new Set<string>();
    const explicit = new Set(entries.flatMap(({ kind, name }) => (kind === 'directory' ? [name] : [])));
    for (const entry of entries) {
      const [parentName] = splitName(entry.name);
      const there = lookIn(below, entry.name);
      if (entry.kind === 'whiteout')
        this.#countWhiteout(followIn(below, parentName), there, after, entry.name);
      else if (entry.kind === 'opaque') counts[entry.name === '' ? 'opaqueRoots' : 'opaqueDirectories'] += 1;
      else {
        if (parentName !== '' && !explicit.has(parentName)) counts.impliedParents += 1;
        if (entry.kind !== 'hardlink' && there !== undefined && there.node.kind !== entry.kind)
          counts.typeChanges += 1;
        if (entry.kind === 'device') counts.devices += 1;
        if (entry.kind === 'hardlink') this.#countLink(entry.target, own, entries);
        own.add(entry.name);
      }
      if (entry.kind !== 'opaque' && throughLink(below, parentName))
        counts[entry.kind === 'whiteout' ? 'whiteoutsThroughLinks' : 'throughLowerLinks'] += 1;
    }
  }

  #countWhiteout(parent: Slot | undefined, there: Slot | undefined, after: MergedTree, name: string): void {
    const counts = this.#counts;
    if (parent === undefined) counts.whiteoutsUnderNothing += 1;
    else if (parent.node.kind !== 'directory') counts.whiteoutsUnderFiles += 1;
    if (there === undefined) counts.ghostWhiteouts += 1;
    else if (lookIn(after.root, name)?.layer === after.layer) counts.whitedOutAndMadeAgain += 1;
  }

  #countLink(target: string, own: ReadonlySet<string>, entries: readonly Entry[]): void {
    const counts = this.#counts;
    counts.hardLinks += 1;
    if (own.has(target)) return;
    if (entries.some(({ name, kind }) => name === target && kind !== 'whiteout')) counts.forwardLinks += 1;
    else counts.linksIntoLower += 1;
  }
}

/** True for an entry that every reader understands in the same way, and none refuses. */
function isPlain(entry: Entry, tree: MergedTree, before: readonly Entry[]): boolean {
  if (entry.kind === 'whiteout' || entry.kind === 'opaque') return true;
  const there = lookIn(tree.root, entry.name);
  const isTarget = (one: Entry) => one.kind === 'hardlink' && lookIn(tree.root, one.target) === there;
  if (there !== undefined && before.some(isTarget)) return false;
  if (entry.kind === 'hardlink' && lookIn(tree.root, entry.target) === undefined) return false;
  if (entry.kind !== 'file' && entry.kind !== 'directory' && entry.attributes.mark !== undefined)
    return false;
  const parts = splitName(entry.name)[0].split('/').filter(Boolean);
  return parts.every((_, i) => {
    const above = followIn(tree.root, parts.slice(0, i + 1).join('/'));
    return above === undefined || above.node.kind === 'directory';
  });
}

/** The tree after another layer; undefined where the layer makes no sense there. */
function replay(before: MergedTree, entries: readonly Entry[]): MergedTree | undefined {
  const tree = before.clone();
  tree.beginLayer();
  const fits = accepts(() => {
    for (const entry of entries) tree.apply(entry);
    tree.endLayer();
  });
  return fits ? tree : undefined;
}

function accepts(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof Ambiguous || error instanceof Refused) return false;
    throw error;
  }
}

/** True when a link of the layers below lies on the way. */
function throughLink(root: Slot, path: string): boolean {
  const parts = path.split('/').filter(Boolean);
  return parts.some((_, i) => lookIn(root, parts.slice(0, i + 1).join('/'))?.node.kind === 'symlink');
}

function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
