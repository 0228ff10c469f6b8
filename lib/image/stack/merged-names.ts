/**
 * Tells which layers of a stack have a name, and as which type. A name is looked up once in each layer that can have
 * it, which is each layer with the directory above it. So the work grows with the layers' content, and not with the
 * number of names times the number of layers.
 *
 * A layer that is asked for many names of a directory is listed there, and answers all later questions from memory.
 */
import type { ByteName } from '../../base/bytes.ts';
import { components } from '../../base/name-set.ts';
import type { PlanningWork } from './planning-work.ts';
import { listLayer, look, type Sight, type StackLayer } from './stack-view.ts';

/** A lookup of a name costs as much as listing this many (measured: 3 µs, and 0.2 µs for each name, with the open). */
const LIST_AFTER = 16;
/** A larger directory is asked for every name, since a list of it takes the memory of all its names. */
const MAX_LISTED = 4096;

/**
 * The types that end a walk, as numbers below 4. A node keeps them with the position of the layer, as position × 4 +
 * number.
 */
const ENDS: readonly Sight[] = ['link', 'whiteout', 'other'];

/** A layer that has a directory and was not listed there. */
interface Asked {
  readonly at: number;
  times: number;
  isLarge: boolean;
}

interface NameNode {
  /** Positions of the layers that have the name as a directory, ascending, as in the other lists. */
  readonly directories: number[];
  /** Positions of the layers that have another type there, with a number of ENDS. */
  ends: number[] | undefined;
  /** Positions of the layers that are opaque there. */
  opaque: number[] | undefined;
  children: Map<string, NameNode> | undefined;
  asked: Asked[];
  /** Grows with every layer that has the directory. */
  version: number;
  /** The version of the directory above up to which this name was looked up. */
  settled: number;
  /** The layers among the `asked` of the directory above that were asked for this name. */
  answered: number[] | undefined;
}

/** The end of a walk down the layers, where that is not the bottom. */
export interface WalkEnd {
  readonly at: ByteName;
  readonly sight: Sight;
}

/**
 * The position at which the directories above a name end the walk, whatever type the layers have for the name itself.
 */
interface Barrier {
  /** Position of the topmost layer that has another type on the path, and that type. */
  readonly blockedAt: number;
  readonly end: WalkEnd | undefined;
  /** Position of the topmost layer with an opaque directory on the path: layers below it do not count. */
  readonly opaqueAt: number;
}
const NO_BARRIER: Barrier = { blockedAt: -1, end: undefined, opaqueAt: -1 };

interface Level {
  readonly end: number;
  readonly node: NameNode;
  /** The barrier for the node itself. */
  readonly above: Barrier;
  /** The barrier for names below the node. */
  readonly barrier: Barrier;
}

export class MergedNames {
  readonly #work: PlanningWork;
  readonly #layers: StackLayer[] = [];
  readonly #root: NameNode = newNode();
  readonly #endsAtRoot: boolean;
  /** The nodes on the path of the last name. Names come sorted, so the next name shares most of it. */
  #levels: Level[] = [];
  #last = '' as ByteName;
  #below = -1;

  /** @param endsAtRoot true: layers below a layer with an opaque root do not show */
  constructor(work: PlanningWork, endsAtRoot: boolean) {
    this.#work = work;
    this.#endsAtRoot = endsAtRoot;
  }

  /** The number of layers. */
  get size(): number {
    return this.#layers.length;
  }

  /** Puts a layer on top of the others. */
  add(layer: StackLayer): void {
    const at = this.#layers.push(layer) - 1;
    this.#mark(this.#root, at, 'directory');
    for (const name of layer.opaqueDirs) {
      let node = this.#root;
      for (const { key } of components(name)) node = this.#child(node, key);
      node.opaque ??= [];
      node.opaque.push(at);
      this.#work.step();
    }
    this.#below = -1;
  }

  /**
   * Walks down the layers below position `below` for the name of a directory, as overlayfs does, and returns the end of
   * the walk. An opaque directory of that very name ends the merge for contents. With `throughOpaque` the walk
   * continues, for attributes: a layer that only implies the directory inherits them all the same.
   * @param merged gets the layers that have the name as a directory, topmost first, and returns false to end the walk
   */
  walk(
    name: ByteName,
    below: number,
    throughOpaque: boolean,
    merged: (layer: StackLayer) => boolean,
  ): WalkEnd | undefined {
    this.#work.step();
    const { node, barrier } = this.#find(name, below);
    const own = throughOpaque ? -1 : topmost(node.opaque, below);
    const opaqueAt = Math.max(barrier.opaqueAt, own);
    const ended = endOf(node, name, below, barrier);
    for (let i = firstBelow(node.directories, below) - 1; i >= 0; i -= 1) {
      const at = node.directories[i] ?? -1;
      if (at < opaqueAt || at < ended.blockedAt) break;
      this.#work.step();
      const layer = this.#layers[at];
      if (layer !== undefined && !merged(layer)) return undefined;
    }
    if (ended.blockedAt >= 0 && ended.blockedAt >= opaqueAt) return ended.end;
    return opaqueAt >= 0 ? { at: name, sight: 'absent' } : undefined;
  }

  #find(name: ByteName, below: number): { node: NameNode; barrier: Barrier } {
    this.#keepShared(name, below);
    let node = this.#root;
    let barrier = this.#rootBarrier(below);
    const known = this.#levels.at(-1);
    if (known !== undefined) ({ node, barrier } = known);
    for (const { key, end } of components(name, known === undefined ? 0 : known.end + 1)) {
      this.#work.step();
      const path = name.slice(0, end) as ByteName;
      const child = this.#settle(node, key, path);
      const above = barrier;
      barrier = {
        ...endOf(child, path, below, above),
        opaqueAt: Math.max(above.opaqueAt, topmost(child.opaque, below)),
      };
      this.#levels.push({ end, node: child, above, barrier });
      node = child;
    }
    const level = this.#levels.at(-1);
    return level === undefined ? { node, barrier } : { node: level.node, barrier: level.above };
  }

  /** Drops the levels of the last walk that are not on the path of `name`. */
  #keepShared(name: ByteName, below: number): void {
    if (this.#below !== below) this.#levels = [];
    const last = this.#last;
    [this.#below, this.#last] = [below, name];
    let shared = 0;
    while (shared < name.length && name.charCodeAt(shared) === last.charCodeAt(shared)) shared += 1;
    const isOnTheWay = (end: number) => end <= shared && (end === name.length || name[end] === '/');
    while (this.#levels.length > 0 && !isOnTheWay(this.#levels.at(-1)?.end ?? 0)) this.#levels.pop();
  }

  #rootBarrier(below: number): Barrier {
    if (!this.#endsAtRoot || this.#root.opaque === undefined) return NO_BARRIER;
    return { ...NO_BARRIER, opaqueAt: topmost(this.#root.opaque, below) };
  }

  /** The node of `path`, after a lookup in every layer that has the directory above. */
  #settle(parent: NameNode, key: string, path: ByteName): NameNode {
    const child = this.#child(parent, key);
    if (child.settled === parent.version) return child;
    const stay: Asked[] = [];
    for (const asked of parent.asked) {
      if (child.answered?.includes(asked.at)) stay.push(asked);
      else if (this.#ask(parent, child, asked, path)) stay.push(asked);
    }
    parent.asked = stay;
    child.settled = parent.version;
    return child;
  }

  /** Returns false when the layer was listed and need not be asked again. */
  #ask(parent: NameNode, child: NameNode, asked: Asked, path: ByteName): boolean {
    const layer = this.#layers[asked.at];
    if (layer === undefined) return false;
    asked.times += 1;
    if (asked.times > LIST_AFTER && !asked.isLarge) {
      const directory = path.slice(0, Math.max(0, path.lastIndexOf('/'))) as ByteName;
      if (this.#list(parent, layer, asked.at, directory)) return false;
      asked.isLarge = true;
    }
    this.#work.step(path);
    this.#mark(child, asked.at, look(layer, path));
    child.answered ??= [];
    child.answered.push(asked.at);
    return true;
  }

  #list(parent: NameNode, layer: StackLayer, at: number, directory: ByteName): boolean {
    const found = listLayer(layer, directory, MAX_LISTED, () => this.#work.step());
    if (found === undefined) return false;
    for (const [key, sight] of found) {
      const child = this.#child(parent, key);
      if (!child.answered?.includes(at)) this.#mark(child, at, sight);
    }
    return true;
  }

  #child(node: NameNode, key: string): NameNode {
    let child = node.children?.get(key);
    if (child === undefined) {
      this.#work.name();
      child = newNode();
      node.children ??= new Map();
      node.children.set(key, child);
    }
    return child;
  }

  #mark(node: NameNode, at: number, sight: Sight): void {
    if (sight === 'absent') return;
    if (sight === 'directory') {
      insert(node.directories, at);
      this.#hold(node, at);
    } else {
      node.ends ??= [];
      insert(node.ends, at * 4 + ENDS.indexOf(sight));
    }
  }

  #hold(node: NameNode, at: number): void {
    node.asked.push({ at, times: 0, isLarge: false });
    node.version += 1;
  }
}

function newNode(): NameNode {
  return {
    directories: [],
    ends: undefined,
    opaque: undefined,
    children: undefined,
    asked: [],
    version: 0,
    settled: 0,
    answered: undefined,
  };
}

/** The topmost layer that ends a walk at the node or above it. */
function endOf(
  node: NameNode,
  path: ByteName,
  below: number,
  above: Barrier,
): Pick<Barrier, 'blockedAt' | 'end'> {
  const mark = topmost(node.ends, below * 4);
  const blockedAt = mark >> 2;
  if (blockedAt < 0 || blockedAt < above.blockedAt) return { blockedAt: above.blockedAt, end: above.end };
  return { blockedAt, end: { at: path, sight: ENDS[mark & 3] ?? 'absent' } };
}

function insert(ascending: number[], number: number): void {
  if ((ascending.at(-1) ?? -1) < number) ascending.push(number);
  else ascending.splice(firstBelow(ascending, number), 0, number);
}

/** The number of the ascending numbers that are smaller than `limit`. */
function firstBelow(numbers: readonly number[], limit: number): number {
  let [from, to] = [0, numbers.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((numbers[middle] ?? 0) < limit) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** The largest of the ascending positions below `limit`, or -1. */
function topmost(places: readonly number[] | undefined, limit: number): number {
  if (places === undefined) return -1;
  return places[firstBelow(places, limit) - 1] ?? -1;
}
