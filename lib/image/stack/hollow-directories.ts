/**
 * Finds hollow directories: a layer has them for its whiteouts alone, as `a/b/.wh.c` without an entry for `a/b`. If the
 * layers are unpacked one after the other into one root filesystem, such a whiteout makes no directory, and without a
 * lower `a/b` it has no effect. In a lower directory of overlayfs, it would make an empty `a/b`. A whiteout on top of
 * the stack hides that one.
 */
import type { ByteName } from '../../base/bytes.ts';
import { NameSet, withParents } from '../../base/name-set.ts';
import type { Steps } from '../../base/turns.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import type { MergedNames } from './merged-names.ts';
import type { PlanningWork } from './planning-work.ts';
import { childOf, direntsOf, lookAtTree, type StackLayer } from './stack-view.ts';

/** The hollow directories of layers. Each directory is read once. */
export class HollowDirectories {
  readonly #work: PlanningWork;
  readonly #known = new Map<StackLayer, Map<ByteName, boolean>>();

  constructor(work: PlanningWork) {
    this.#work = work;
  }

  *has(layer: StackLayer, name: ByteName): Steps<boolean> {
    if (layer.kind === 'cvmfs') return layer.hollowDirs.has(name);
    if (!layer.impliedDirs.has(name)) return false;
    const known = this.#known.get(layer) ?? new Map<ByteName, boolean>();
    this.#known.set(layer, known);
    return known.get(name) ?? (yield* this.#read(layer, name, known));
  }

  /** Reads depth first and without recursion, since a path has up to two thousand directories. */
  *#read(layer: StackLayer, name: ByteName, known: Map<ByteName, boolean>): Steps<boolean> {
    const inside: { name: ByteName; children: ByteName[] }[] = [];
    let next: ByteName | undefined = name;
    while (next !== undefined) {
      const children: ByteName[] | undefined =
        known.get(next) === false ? undefined : yield* this.#impliedIn(layer, next);
      if (children === undefined) {
        // A directory with an entry that shows is not hollow, and no directory above it is.
        for (const above of [...inside, { name: next }]) known.set(above.name, false);
        return false;
      }
      inside.push({ name: next, children });
      next = nextIn(inside, known);
    }
    return true;
  }

  /**
   * The implied directories in a directory that has only such directories and whiteouts; undefined when it has another
   * entry.
   */
  *#impliedIn(layer: StackLayer, directory: ByteName): Steps<ByteName[] | undefined> {
    const implied: ByteName[] = [];
    for (const { name, type } of direntsOf(layer.tree, directory)) {
      this.#work.step();
      yield;
      const child = childOf(directory, name);
      if (layer.impliedDirs.has(child)) implied.push(child);
      else if (!mayBeWhiteout(type) || lookAtTree(layer.tree, child) !== 'whiteout') return undefined;
    }
    return implied;
  }

  /** The hollow directories of a layer. Only a directory on the path of a whiteout or an opaque marker can be one. */
  *of(layer: StackLayer): Steps<ByteName[]> {
    if (layer.kind === 'cvmfs') return [...layer.hollowDirs];
    const hollow: ByteName[] = [];
    for (const name of withParents([...layer.whiteoutDirs, ...layer.opaqueDirs])) {
      this.#work.step();
      yield;
      if (yield* this.has(layer, name)) hollow.push(name);
    }
    return hollow;
  }
}

/** The next directory to read. A directory whose children are all hollow is hollow too. */
function nextIn(
  inside: { name: ByteName; children: ByteName[] }[],
  known: Map<ByteName, boolean>,
): ByteName | undefined {
  for (let top = inside.at(-1); top !== undefined; top = inside.at(-1)) {
    const child = top.children.pop();
    if (child === undefined) {
      known.set(top.name, true);
      inside.pop();
    } else if (known.get(child) !== true) return child;
  }
  return undefined;
}

function mayBeWhiteout(type: number): boolean {
  return type === DT.CHR || type === DT.UNKNOWN;
}

/**
 * The directories that a layer has and that the merged tree must hide. No result lies below another one.
 * @param names the names of all layers; the topmost layer is the first of `topFirst`
 */
export function* directoriesToHide(
  topFirst: readonly StackLayer[],
  names: MergedNames,
  hollow: HollowDirectories,
): Steps<ByteName[]> {
  const candidates = new Set<ByteName>();
  for (const layer of topFirst) for (const name of yield* hollow.of(layer)) candidates.add(name);
  const phantoms: ByteName[] = [];
  for (const name of candidates) {
    yield;
    const merged: StackLayer[] = [];
    names.walk(name, topFirst.length, true, (layer) => merged.push(layer) > 0);
    let all = merged.length > 0;
    for (const layer of merged) {
      if (!(yield* hollow.has(layer, name))) {
        all = false;
        break;
      }
    }
    if (all) phantoms.push(name);
  }
  const set = new NameSet(phantoms);
  return phantoms.filter((name) => !set.covers(name, true));
}
